"""Runs on disk: the run directory, the environment it records, and what is written as training goes."""
