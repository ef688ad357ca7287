"""The readers: class folders, tables, and drawn phantoms."""
