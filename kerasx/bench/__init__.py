"""Measures ways of training against each other and against plain programs, each in its own process."""
