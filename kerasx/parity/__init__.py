"""Parity: traces of trainings, and whether two of them agree."""
