"""Explainers: maps of where in an image the score of a class is sensitive."""
