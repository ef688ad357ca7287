"""From DATA to batches: index, pixels decoded once, checks, split."""
