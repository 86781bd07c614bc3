"""Checks whether a step does all that `fit` does, in scenarios that wake what is otherwise asleep."""
