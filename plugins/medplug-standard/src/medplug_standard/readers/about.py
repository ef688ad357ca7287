"""``about.toml``: what is known of a data set beside its images."""

from __future__ import annotations

import tomllib
from pathlib import Path

from medplug.plugins import About, DataError
from medplug_standard.readers.files import nearest_hint

FILE = "about.toml"
_KEYS = {"title": "title", "licence": "licence", "license": "licence", "citation": "citation", "url": "url"}


def about_beside(folder: Path) -> About:
    """What ``about.toml`` in a folder says: ``title``, ``licence`` (or ``license``), ``citation``, ``url``, each a text.

    Nothing is known where there is no such file.

    Raises:
        DataError: the file cannot be read, or holds anything else.
    """
    path = folder / FILE
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return About()
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    for key, value in values.items():
        if key not in _KEYS:
            raise DataError(f"{path}: unknown key {key!r}{nearest_hint(key, _KEYS)} (known: {', '.join(_KEYS)})")
        if not isinstance(value, str):
            raise DataError(f"{path}: {key} must be a text in quotes, got {value!r}")
    return About(**{_KEYS[key]: value.strip() for key, value in values.items()})
