"""The version, and when this process began."""

import time

__version__ = "0.1.0"
STARTED = time.monotonic()  # seconds; a budget counts from here
