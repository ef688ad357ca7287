"""The faces that figures are drawn with where there is no browser to choose them."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import resvg_py
from PIL import Image, ImageFont

_FOLDERS = {
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": (os.path.join(os.environ.get("WINDIR", r"C:\Windows"), "Fonts"),),
}
_UNIX = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
# resvg takes a missing letter from the first face that has it, also from a bold italic one: only plain faces are offered.
_NOT_PLAIN = re.compile(r"bold|italic|oblique|light|thin|black|heavy|medium|condensed|narrow|mono", re.IGNORECASE)
_MARKS = {"–": "-", "—": "-", "−": "-", "×": "x", "≥": ">=", "≤": "<=", "→": "->", "•": "*"}
_UNASSIGNED = "\U0010fffd"  # of private use: no face should have it
_CELL = 40  # pixels in which a character is tried


@dataclass(frozen=True)
class Fonts:
    """Files of faces, and what they cannot draw.

    Attributes:
        family: of the first file.
        files: the face of all text, then those that letters are taken from which it lacks.
        replaced: characters that none of the files has, and what is drawn in their place.
    """

    family: str
    files: list[str]
    replaced: Mapping[str, str] = field(default_factory=dict)

    def drawable(self, text: str) -> str:
        """The text without characters that cannot be drawn."""
        return text.translate(str.maketrans(dict(self.replaced)))


@contextmanager
def fonts(text: str) -> Iterator[Fonts]:
    """Faces for a text: that of Pillow, and plain ones of the system where it needs them.

    They are files only within the context.
    """
    font = ImageFont.load_default(12)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow is built without FreeType here, and figures need a face: install it from its wheels")
    family = font.getname()[0] or ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "face.ttf")
        path.write_bytes(font.font_bytes)
        own = Fonts(family, [str(path)])
        lacking = _lacking(own, sorted({c for c in text if not c.isascii() and unicodedata.category(c)[0] not in "ZC"}))
        replaced = {c: _MARKS[c] for c in lacking if c in _MARKS}
        letters = [c for c in lacking if c not in _MARKS]
        if letters:
            own = Fonts(family, [*own.files, *_system_files()])
            replaced |= {c: _plain(c) for c in _lacking(own, letters)}
        yield Fonts(family, own.files, replaced)


def _lacking(faces: Fonts, characters: Sequence[str]) -> list[str]:
    """Those characters that look like one that no face has: nothing, or an empty box."""
    if not characters:
        return []
    cells = "".join(
        f'<text x="{_CELL * i + _CELL // 4}" y="{_CELL // 2}">{c}</text>'
        for i, c in enumerate((_UNASSIGNED, *characters))
    )
    size = f"0 0 {_CELL * (len(characters) + 1)} {_CELL}"
    drawn = resvg_py.svg_to_bytes(
        svg_string=f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" font-size="12">{cells}</svg>',
        background="#ffffff",
        skip_system_fonts=True,
        font_files=faces.files,
        font_family=faces.family,
    )
    image = Image.open(io.BytesIO(bytes(drawn))).convert("L")
    unknown, *looks = (image.crop((_CELL * i, 0, _CELL * (i + 1), _CELL)).tobytes() for i in range(len(characters) + 1))
    return [c for c, look in zip(characters, looks, strict=True) if look == unknown]


def _plain(character: str) -> str:
    """``é`` as ``e``, and a question mark for what has no such form."""
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


def _system_files() -> list[str]:
    """Plain faces of the system, those called sans first."""
    found = {
        path
        for folder in _FOLDERS.get(sys.platform, _UNIX)
        for path in Path(folder).expanduser().rglob("*")
        if path.suffix.lower() in (".ttf", ".otf", ".ttc") and not _NOT_PLAIN.search(path.stem)
    }
    return [str(path) for path in sorted(found, key=lambda p: ("sans" not in p.stem.lower(), p.stem, str(p)))]
