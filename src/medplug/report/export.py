"""Figures as files of their own: stand-alone SVG, and PNG for programs that do not read SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import resvg_py
from PIL import Image

from medplug.files import atomic
from medplug.report.figures import STYLE
from medplug.report.fonts import Fonts, fonts

DPI = 300
_CSS_DPI = 96  # pixels of an SVG per inch
_MARGIN = 8  # pixels of white around a drawing, which on the page has the page around it
_SVG = "http://www.w3.org/2000/svg"
_FORBIDDEN = frozenset('/\\:*?"<>|')


def write_figures(figures: Mapping[str, str], folder: Path, pixels: bool = True) -> list[Path]:
    """Write ``NAME.svg`` and, with ``pixels``, ``NAME.png`` for each drawing, on white; figures of other names are removed.

    The SVG files hold their style, but no font: text is drawn in the reader's own sans-serif face. The PNG files have
    300 pixels per inch and their text in the face that Pillow carries, so that they look the same on machines without
    any font. Letters that it lacks are taken from the system's fonts, and where these lack them too, or there are none,
    become the plain letter below their accents or a question mark (in the PNG alone).

    Args:
        figures: name to ``<svg>``, as :func:`medplug.report.figures.all_figures` gives them.
        folder: made where it is not there; files of the same names are replaced.

        pixels: whether to write PNG files too.

    Returns:
        The files, the SVG of each figure before its PNG.

    Raises:
        ValueError: a name that cannot be that of a file, or a drawing that is no ``<svg>`` with a ``viewBox``.
    """
    drawings = {name: _drawing(name, source) for name, source in figures.items()}
    sources = {name: ElementTree.tostring(drawing, "unicode") for name, drawing in drawings.items()}
    written = []
    for name, source in sources.items():
        with atomic(folder / f"{name}.svg") as stream:
            stream.write(f"{source}\n")
        written.append(folder / f"{name}.svg")
    if pixels and sources:
        with fonts("".join(text for drawing in drawings.values() for text in drawing.itertext())) as faces:
            for name, source in sources.items():
                with atomic(folder / f"{name}.png", "wb") as stream:
                    stream.write(_png(source, faces))
                written.append(folder / f"{name}.png")
    for old in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        if old not in written:
            old.unlink()  # of an earlier evaluation
    order = list(figures)
    return sorted(written, key=lambda path: (order.index(path.stem), path.suffix == ".png"))


def _drawing(name: str, source: str) -> ElementTree.Element:
    """The drawing with what it needs outside the page: name space, size in pixels, style, white ground and a margin."""
    if not name or name.startswith(".") or not _FORBIDDEN.isdisjoint(name):
        raise ValueError(f"{name!r} cannot be the name of a figure's file: use letters, digits, '_' and '-'")
    try:
        root = ElementTree.fromstring(source)
    except ElementTree.ParseError as error:
        raise ValueError(f"the figure {name!r} is not well-formed: {error}") from None
    if root.tag not in ("svg", f"{{{_SVG}}}svg") or "viewBox" not in root.attrib:
        raise ValueError(f"the figure {name!r} is no <svg> with a viewBox")
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    box = (left - _MARGIN, top - _MARGIN, width + 2 * _MARGIN, height + 2 * _MARGIN)
    place = dict(zip(("x", "y", "width", "height"), (f"{v:g}" for v in box), strict=True))
    if root.tag == "svg":
        root.set("xmlns", _SVG)
    root.attrib |= {"viewBox": " ".join(place.values()), "width": place["width"], "height": place["height"]}
    style = ElementTree.Element("style")
    style.text = STYLE
    root[:0] = [style, ElementTree.Element("rect", {**place, "fill": "#ffffff"})]
    return root


def _png(source: str, faces: Fonts) -> bytes:
    drawn = resvg_py.svg_to_bytes(
        svg_string=faces.drawable(source),
        zoom=DPI / _CSS_DPI,
        background="#ffffff",
        skip_system_fonts=True,
        font_files=faces.files,
        font_family=faces.family,
        sans_serif_family=faces.family,
    )
    stream = io.BytesIO()
    Image.open(io.BytesIO(bytes(drawn))).convert("RGB").save(stream, "PNG", dpi=(DPI, DPI))
    return stream.getvalue()
