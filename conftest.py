"""For all tests, those of plugins too: XLA's programs are kept between runs, and nothing runs on a GPU by accident."""

import os
import tempfile
from pathlib import Path

_SCRATCH = Path(tempfile.gettempdir(), f"medplug-tests-{os.getuid()}")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_SCRATCH / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
