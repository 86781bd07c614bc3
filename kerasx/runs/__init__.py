"""Runs: training one from start to end, what it keeps on disk, and using what was kept."""
