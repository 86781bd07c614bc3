"""Training: the strategy contract, the task a strategy is given, and the ways a step is executed."""
