"""Keeps the whole state of a training as it goes, so that it can be gone on with at the very step."""
