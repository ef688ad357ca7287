"""Explanations by other libraries, run in an environment of their own; nothing here is imported by medplug."""
