"""An environment for each peer, so that its packages never meet medplug's."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.family import BenchmarkError


def python_of(requirements: Path, home: Path) -> Path:
    """The interpreter of an environment with the packages of ``PEER.txt``, which is made as ``home/PEER`` at first.

    Raises:
        BenchmarkError: the packages cannot be installed.
    """
    peer = requirements.stem
    folder = home / peer
    python = folder / "bin" / "python"
    wanted = requirements.read_text("utf-8")
    done = folder / "installed.txt"
    if done.exists() and done.read_text("utf-8") == wanted:
        return python
    print(f"installing {peer} into {folder} (once; some minutes)", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise BenchmarkError(f"{peer} cannot be installed by {sys.executable}: {found.stderr[-500:]}")
    done.write_text(wanted, "utf-8")
    return python
