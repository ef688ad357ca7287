"""Benchmarks of the input: batches beside those of peers, and what many files cost."""
