"""Child seeds by name, so that no stage depends on how much randomness another one used."""

from __future__ import annotations

import hashlib


def child_seed(seed: int, *names: str | int) -> int:
    """A seed in 0..2^31-1 for one purpose: the same names always give the same seed.

    >>> child_seed(0, "shuffle", 3) == child_seed(0, "shuffle", 3)
    True
    """
    # Names may be of files, which need not be UTF-8.
    text = "/".join(map(str, (seed, *names))).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1
