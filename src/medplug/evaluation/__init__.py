"""Scores, intervals, curves and tables from predictions."""
