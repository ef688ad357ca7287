"""Networks: building them, their state by path, and applying them to batches."""
