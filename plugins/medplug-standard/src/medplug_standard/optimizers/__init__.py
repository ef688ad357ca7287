"""Optimizers: optax's, made for a learning rate of 1, with optax's names of parameters."""
