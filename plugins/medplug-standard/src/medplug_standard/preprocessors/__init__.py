"""Preprocessors: from the pixels of a reader to what a network takes."""
