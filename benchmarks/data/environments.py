"""An environment for each peer, so that its old packages never meet medplug's."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.family import BenchmarkError

_HERE = Path(__file__).parent / "peers"


def python_of(peer: str, home: Path) -> Path:
    """The interpreter that ``peers/PEER_worker.py`` runs with; its environment is made below ``home`` at first.

    Raises:
        BenchmarkError: the packages of ``peers/PEER.txt`` cannot be installed.
    """
    folder = home / peer
    python = folder / "bin" / "python"
    wanted = (_HERE / f"{peer}.txt").read_text("utf-8")
    done = folder / "installed.txt"
    if done.exists() and done.read_text("utf-8") == wanted:
        return python
    print(f"installing {peer} into {folder} (once; some minutes)", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", _HERE / f"{peer}.txt"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise BenchmarkError(f"{peer} cannot be installed by {sys.executable}: {found.stderr[-500:]}")
    done.write_text(wanted, "utf-8")
    return python
