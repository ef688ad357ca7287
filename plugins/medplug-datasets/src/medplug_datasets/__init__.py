"""Public medical data sets, read as their publishers hand them out."""
