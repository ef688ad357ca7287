"""Explained test images, reduced so that the page stays small."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image

from medplug.report.facts import ExplainedImage, ReportFacts
from medplug.report.figures import scale_bar
from medplug.report.markup import listing, name, percent, section, text

BUDGET = 3_500_000  # characters of all pictures together: with the rest the page stays under 5 MB
_EDGES = (360, 280, 220, 160, 112, 80, 56)


def explanations(facts: ReportFacts) -> str:
    """A card for each explained image: original beside overlay, with the colour scale."""
    if not facts.explanations:
        return ""
    edge, pictures = _pictures(facts.explanations)
    cards = [
        _card(e, original, overlay, facts) for e, (original, overlay) in zip(facts.explanations, pictures, strict=True)
    ]
    shown = {e.shown_for for e in facts.explanations}
    absent = [c for c in facts.classes if c not in shown]
    return section(
        "explanations",
        "Explained test images",
        "<p>Colour shows where in the image the score of the explained class is sensitive. It does not show where the disease "
        "is, and a plausible map is no proof of a right answer. Each map has its own scale.</p>",
        f'<div class="cards">{"".join(cards)}</div>',
        f"<p>No test image carries the label {listing(absent)}.</p>" if absent else "",
        f'<p class="notes">Pictures are reduced to {edge} pixels; the folder explanations/ has them in full.</p>',
    )


def _card(e: ExplainedImage, original: str, overlay: str, facts: ReportFacts) -> str:
    same = e.explained in e.labels
    told = f"The map explains {name(e.explained)}, predicted with {percent(e.probability)}"
    told += "." if same else ', <strong class="differs">which is not its label</strong>.'
    labels = listing(e.labels, 8) if e.labels else "none"
    if e.evidence:
        scale = (
            f'<div class="bar"><span>{e.high:.2g}</span>{scale_bar(facts.colour_scale)}<span>{e.low:.2g}</span></div>'
        )
    else:
        scale = '<div class="bar"></div>'
        told += " <strong>No value of the map speaks for the class.</strong>"
    return (
        f'<article class="card"><h3>{name(e.shown_for)}</h3><div class="pair">'
        f'<img alt="test image {text(e.sample)}" src="{original}">'
        f'<img alt="the same image with the map of {text(e.explained)}" src="{overlay}">{scale if facts.colour_scale else ""}'
        f'</div><p>{told} Label: {labels}.</p><p class="file">{name(e.sample)} · {text(e.method)}</p></article>'
    )


def _pictures(explained: Sequence[ExplainedImage]) -> tuple[int, list[tuple[str, str]]]:
    """Data addresses of all pairs, at the largest edge at which they fit the budget."""
    reduced = [(_reduce(e.original), _reduce(e.overlay)) for e in explained]
    for edge in _EDGES:
        pairs = [(_address(original, edge), _address(overlay, edge)) for original, overlay in reduced]
        if sum(len(a) + len(b) for a, b in pairs) <= BUDGET or edge == _EDGES[-1]:
            return edge, pairs
    raise AssertionError("the last edge always returns")


def _reduce(picture: bytes) -> Image.Image:
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
    small.thumbnail((_EDGES[0], _EDGES[0]), Image.Resampling.LANCZOS)
    return small


def _address(picture: Image.Image, edge: int) -> str:
    small = picture.copy()
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=88, subsampling=0)  # full colour resolution: the map is all colour
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
