"""Losses: one value per sample, from logits, finite for every legal parameter."""
