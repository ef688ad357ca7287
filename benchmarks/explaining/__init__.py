"""Explanations, beside those of other libraries."""
