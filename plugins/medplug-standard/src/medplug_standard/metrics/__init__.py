"""Metrics: NumPy only, with sample weights, unknown labels (NaN) and NaN for what is undefined."""
