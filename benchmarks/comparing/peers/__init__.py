"""Training by another framework, run in an environment of its own; nothing here imports medplug."""
