"""``python -m medplug_dicom DATA``: which file each sample is, for the eyes of whoever may see the files."""

from __future__ import annotations

import sys
from typing import Any

from medplug.plugins import MedplugError
from medplug_dicom.reader import Dicom


def main(words: list[str]) -> int:
    """Write a line ``sample<TAB>path`` for each sample of DATA; parameters of the reader as ``name=value``."""
    given: dict[str, Any] = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    if not words or words[0].startswith("-") or len(given) < len(words) - 1:
        sys.stderr.write("usage: python -m medplug_dicom DATA [PARAMETER=VALUE …]\n")
        return 2
    try:
        index = Dicom(**given).index(words[0])
    except (MedplugError, TypeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for sample, uri in zip(index.samples, index.uris, strict=True):
        sys.stdout.write(f"{sample}\t{uri}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
