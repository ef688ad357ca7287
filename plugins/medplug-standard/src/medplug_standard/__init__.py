"""The standard components of medplug; ``plugin.py`` lists them."""
