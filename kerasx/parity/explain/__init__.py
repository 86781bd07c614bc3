"""Finds the smallest set of deviations with which the reference does what a training does."""
