"""The secret of a user from which names of patients are made unrecognisable, and the hashes made with it."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

import platformdirs

from medplug.plugins import DataError

VARIABLE = "MEDPLUG_SALT_FILE"
_BYTES = 32
DIGITS = 12
"""Hexadecimal digits of a hash: among a million patients two share one with a chance of 1 in 500."""


class Hasher:
    """HMAC-SHA256 (RFC 2104) with the user's salt, cut to :data:`DIGITS`.

    Without the salt a hash cannot be traced back by trying all numbers, as a plain hash of a patient's number can.
    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def __call__(self, purpose: str, value: str) -> str:
        """The hash of a text; another one for each purpose, so that columns cannot be joined by it. Empty stays empty."""
        if not value:
            return ""
        message = f"{purpose}\0{value}".encode("utf-8", "surrogatepass")
        return hmac.new(self._salt, message, hashlib.sha256).hexdigest()[:DIGITS]


def salt_file() -> Path:
    """Where the salt lies: ``$MEDPLUG_SALT_FILE``, or ``salt`` in the user's data folder of medplug."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(platformdirs.user_data_dir("medplug"), "salt")


def user_hasher() -> Hasher:
    """The hasher of this user. The first call ever draws the salt, readable for the user alone.

    Two processes that come at once agree on one salt: it appears under its name whole, and the first one stays.

    Raises:
        DataError: the file can neither be read nor made, or holds something else.
    """
    path = salt_file()
    try:
        if not path.exists():
            _create(path)
        text = path.read_text("ascii").strip()
        salt = bytes.fromhex(text)
    except OSError as error:
        raise DataError(
            f"{path}: the salt that hides patients cannot be kept there ({error.strerror}); set {VARIABLE} to a file "
            "that can be written"
        ) from None
    except ValueError:
        salt = b""
    if len(salt) != _BYTES:
        raise DataError(
            f"{path}: holds no salt of {_BYTES} bytes as hexadecimal digits; put back the file that was there, or remove "
            "this one, after which patients get other hashes"
        )
    return Hasher(salt)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(_BYTES) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first; its salt counts
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
