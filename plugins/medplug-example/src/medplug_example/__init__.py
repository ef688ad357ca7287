"""An example of a third-party plugin for medplug: one loss."""
