"""Text in pictures, also where no single face has all its letters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_UNASSIGNED = "\U0010fffd"  # of private use: no face should have it
_LINE = 1.3  # of the size of the letters
_ELLIPSIS = "…"


class Lettering:
    """Writes into pictures with the face that comes with Pillow, and letters that it lacks with others.

    Args:
        files: of further faces, in the order in which they are asked.
        replaced: characters that no face has, and what stands in their place.

    Raises:
        RuntimeError: Pillow is built without FreeType.
    """

    def __init__(self, files: Sequence[str | Path] = (), replaced: Mapping[str, str] | None = None) -> None:
        if not isinstance(ImageFont.load_default(12), ImageFont.FreeTypeFont):
            raise RuntimeError(
                "Pillow is built without FreeType here, and captions need a face: install it from its wheels"
            )
        self._files = tuple(str(path) for path in files)
        self._replaced = str.maketrans(dict(replaced or {}))

    def line_height(self, size: int) -> int:
        """Pixels from one line to the next."""
        return round(_LINE * size)

    def width(self, text: str, size: int) -> float:
        """Pixels that a line takes."""
        return sum(face.getlength(piece) for face, piece in self._pieces(text, size))

    def write(self, picture: Image.Image, at: tuple[float, float], text: str, size: int, ink: str) -> None:
        """Write one line whose upper left corner is ``at``."""
        pen, (x, y) = ImageDraw.Draw(picture), at
        for face, piece in self._pieces(text, size):
            pen.text((x, y + size), piece, ink, face, anchor="ls")  # all faces stand on one line
            x += face.getlength(piece)

    def fitted(self, text: str, size: int, width: float) -> str:
        """The text, with its middle left out where it is too long for a line: the end of a path says most."""
        if self.width(text, size) <= width:
            return text
        least, most = 0, len(text)  # characters that are kept: the longest that fits, by bisection
        while most - least > 1:
            kept = (least + most) // 2
            least, most = (kept, most) if self.width(_without_middle(text, kept), size) <= width else (least, kept)
        return _without_middle(text, least)

    def wrapped(self, text: str, size: int, width: float) -> list[str]:
        """The text in lines, cut between words; a word that is too long for a line is shortened."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.width(longer, size) <= width:
                lines[-1] = longer
            else:
                lines.append(self.fitted(word, size, width))
        return lines

    def _pieces(self, text: str, size: int) -> Iterator[tuple[ImageFont.FreeTypeFont, str]]:
        """The text in pieces, each with the first face that has its letters."""
        printable = "".join(c if c.isprintable() else "?" for c in text.translate(self._replaced))
        for number, letters in itertools.groupby(printable, key=self._face_of):
            yield _face(self._files[number - 1] if number else "", size), "".join(letters)

    def _face_of(self, letter: str) -> int:
        if letter.isascii() or letter.isspace():
            return 0
        having = (n for n, file in enumerate(("", *self._files)) if _has(file, letter))
        return next(having, 0)


def _without_middle(text: str, kept: int) -> str:
    front = kept // 3
    return text[:front] + _ELLIPSIS + text[len(text) - (kept - front) :]


@lru_cache(maxsize=64)
def _face(file: str, size: int) -> ImageFont.FreeTypeFont:
    face = ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
    assert isinstance(face, ImageFont.FreeTypeFont)  # checked when the lettering was made
    return face


@lru_cache(maxsize=4096)
def _has(file: str, letter: str) -> bool:
    """Whether a face draws the letter as anything but its sign for an unknown one."""
    return _looks(file, letter) != _looks(file, _UNASSIGNED)


def _looks(file: str, letter: str) -> bytes:
    cell = Image.new("L", (64, 48))
    ImageDraw.Draw(cell).text((16, 8), letter, 255, _face(file, 16))
    return cell.tobytes()
