"""Keras's training step written once, eager and plain, with deviations that change it in one place each."""
