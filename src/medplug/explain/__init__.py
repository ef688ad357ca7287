"""Choosing, drawing and making maps of where a score is sensitive."""
