"""Loaders of other frameworks, each run in an environment of its own; nothing here is imported by medplug."""
