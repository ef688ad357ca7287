"""What a recipe is."""

from __future__ import annotations

from typing import Protocol


class Recipe(Protocol):
    """A complete configuration as a TOML file that a plugin ships; ``target`` is ``"package:file.toml"``.

    A recipe names components (``[loss] use = "cross_entropy"``) and settings (``[training] epochs = 40``). Every key
    must be known; ``medplug run --help-config`` lists them. A file of the user's is as good as a shipped one.
    """
