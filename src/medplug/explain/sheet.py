"""Contact sheets: many overlays of one class, with what was predicted and whether it was right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from medplug.explain.lettering import Lettering

PER_SHEET = 48  # pictures
_EDGE, _GAP, _FRAME, _SIZE = 224, 16, 5, 14  # pixels; the last is that of the letters
_PAPER, _INK, _FAINT, _EMPTY = "#ffffff", "#1a1a1a", "#5c5c5c", "#e6e6e6"
_WRONG = "#b3261e"


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
        load: gives the picture; it is shrunk to its place.
        name: of the sample.
        told: of the prediction, in few words.
        right: whether it is right; None if that is not known.
    """

    load: Callable[[], Image.Image]
    name: str
    told: str
    right: bool | None = None


def draw_sheets(title: str, cells: Sequence[Cell], lettering: Lettering) -> Iterator[Image.Image]:
    """A grid of pictures in the order given, on as many sheets as are needed.

    Wrong predictions have a thick frame and the word "wrong", right ones a thin frame and the word "right"; of others
    nothing is said. Colour repeats that and is not needed.
    """
    sheets = -(-len(cells) // PER_SHEET)
    for number in range(sheets):
        part = cells[number * PER_SHEET : (number + 1) * PER_SHEET]
        yield _sheet(title if sheets == 1 else f"{title} ({number + 1} of {sheets})", part, lettering)


def _sheet(title: str, cells: Sequence[Cell], lettering: Lettering) -> Image.Image:
    columns = min(len(cells), 8 if len(cells) > 24 else 6)
    line, large = lettering.line_height(_SIZE), round(1.4 * _SIZE)
    width, height = _EDGE + _GAP, _EDGE + 2 * line + _GAP
    heading = lettering.wrapped(title, large, max(columns, 2) * width)
    top = len(heading) * lettering.line_height(large) + _GAP
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (_GAP + max(columns, 2) * width, _GAP + top + rows * height), _PAPER)
    for number, text in enumerate(heading):
        lettering.write(sheet, (_GAP, _GAP + number * lettering.line_height(large)), text, large, _INK)
    for number, cell in enumerate(cells):
        x, y = _GAP + number % columns * width, _GAP + top + number // columns * height
        sheet.paste(_picture(cell), (x, y))
        mark = "" if cell.right is None else "right · " if cell.right else "wrong · "
        ink = _WRONG if cell.right is False else _INK
        lettering.write(sheet, (x, y + _EDGE + 2), lettering.fitted(mark + cell.told, _SIZE, _EDGE), _SIZE, ink)
        name = lettering.fitted(cell.name, _SIZE, _EDGE)
        lettering.write(sheet, (x, y + _EDGE + 2 + line), name, _SIZE, _FAINT)
    return sheet


def _picture(cell: Cell) -> Image.Image:
    """The picture in the middle of its place, framed."""
    place = Image.new("RGB", (_EDGE, _EDGE), _EMPTY)
    inner = _EDGE - 2 * _FRAME
    small = cell.load().convert("RGB")
    factor = min(inner / small.width, inner / small.height)
    small = small.resize(
        (max(1, round(small.width * factor)), max(1, round(small.height * factor))),
        Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC,
    )
    place.paste(small, ((_EDGE - small.width) // 2, (_EDGE - small.height) // 2))
    if cell.right is not None:
        pen = ImageDraw.Draw(place)
        ink, thick = (_FAINT, 1) if cell.right else (_WRONG, _FRAME - 1)
        pen.rectangle((0, 0, _EDGE - 1, _EDGE - 1), outline=ink, width=thick)
    return place
