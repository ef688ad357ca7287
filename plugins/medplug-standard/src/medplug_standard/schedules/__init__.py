"""Schedules: the share of the peak rate at each step of a phase."""
