"""Explained test images, reduced so that the page stays small."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from medplug.report.facts import ExplainedImage, ReportFacts
from medplug.report.faithfulness import alarms_of, of_image
from medplug.report.figures import scale_bar
from medplug.report.markup import listing, name, percent, section, text
from medplug.report.pictures import data_address

BUDGET = 3_500_000  # characters of all pictures together: with the rest the page stays under 5 MB
_EDGES = (360, 280, 220, 160, 112, 80, 56)
_CAUTION = (
    "Colour shows where in the image the score of the explained class is sensitive. It does not show where the disease is, "
    "and a plausible map is no proof of a right answer. "
)


def _caution(shown: Sequence[ExplainedImage]) -> str:
    shared = any(e.shared_scale for e in shown)
    return _CAUTION + ("The maps of a class share one scale." if shared else "Each map has its own scale.")


def explanations(facts: ReportFacts) -> str:
    """A card for each explained image: original beside overlay, with the colour scale."""
    if not facts.explanations:
        return ""
    edge, cards = _cards(facts, facts.explanations)
    shown = {e.shown_for for e in facts.explanations}
    absent = [c for c in facts.classes if c not in shown]
    return section(
        "explanations",
        "Explained test images",
        f"<p>{_caution(facts.explanations)}</p>",
        cards,
        f"<p>No test image carries the label {listing(absent)}.</p>" if absent else "",
        f'<p class="notes">Pictures are reduced to {edge} pixels; the folder explanations/ has them in full.</p>',
    )


def error_cards(facts: ReportFacts) -> str:
    """A card for each of the most confident errors, as a part of a section."""
    if not facts.errors:
        return ""
    edge, cards = _cards(facts, facts.errors)
    return (
        "<h3>The most confident errors</h3><p>Test images whose prediction is furthest from their label, the surest first. The "
        f"label itself may be wrong. {_caution(facts.errors)}</p>{cards}"
        f'<p class="notes">Pictures are reduced to {edge} pixels.</p>'
    )


def _cards(facts: ReportFacts, shown: Sequence[ExplainedImage]) -> tuple[int, str]:
    """The edge of the pictures, and the cards. Each gallery of the page has its share of the budget."""
    share = len(shown) / (len(facts.explanations) + len(facts.errors))
    edge, pictures = _pictures(shown, round(BUDGET * share))
    cards = [
        _card(e, original, overlay, facts, errors=shown is facts.errors)
        for e, (original, overlay) in zip(shown, pictures, strict=True)
    ]
    return edge, f'<div class="cards">{"".join(cards)}</div>'


def _card(e: ExplainedImage, original: str, overlay: str, facts: ReportFacts, *, errors: bool) -> str:
    opening = "The map explains" if overlay else "Predicted:"
    told = f"{opening} {name(e.explained)}, {'predicted ' if overlay else ''}with {percent(e.probability)}"
    differs = "which is not among its labels" if facts.task == "multilabel" else "which is not its label"
    told += "." if e.explained in e.labels else f', <strong class="differs">{differs}</strong>.'
    missed = ", ".join(name(c) for c in e.labels) or "no label"
    title = f"{missed}, taken for {name(e.explained)}" if errors and e.explained not in e.labels else name(e.shown_for)
    labels = listing(e.labels, 8) if e.labels else "none"
    pictures, scale = f'<img alt="test image {text(e.sample)}" src="{original}">', ""
    if overlay:
        pictures += f'<img alt="the same image with the map of {text(e.explained)}" src="{overlay}">'
        if e.evidence and facts.colour_scale:
            scale = f"<span>{e.high:.2g}</span>{scale_bar(facts.colour_scale)}<span>{e.low:.2g}</span>"
        if not e.evidence:
            told += f" <strong>No value of the map speaks {'against' if e.against else 'for'} the class.</strong>"
        told += alarms_of(e)
        if facts.colour_scale:
            pictures += f'<div class="bar">{scale}</div>'
    return (
        f'<article class="card"><h4>{title}</h4><div class="pair">{pictures}</div>'
        f'<p>{told} Label: {labels}.</p>{of_image(facts, e)}<p class="file">{name(e.sample)} · {text(e.method)}</p></article>'
    )


def _pictures(explained: Sequence[ExplainedImage], budget: int) -> tuple[int, list[tuple[str, str]]]:
    """Data addresses of all pairs, at the largest edge at which they fit the budget."""
    reduced = [(_reduce(e.original), _reduce(e.overlay) if e.overlay else None) for e in explained]
    for edge in _EDGES:
        pairs = [
            (data_address(original, edge), data_address(overlay, edge) if overlay else "")
            for original, overlay in reduced
        ]
        if sum(len(a) + len(b) for a, b in pairs) <= budget or edge == _EDGES[-1]:
            return edge, pairs
    raise AssertionError("the last edge always returns")


def _reduce(picture: bytes) -> Image.Image:
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
    small.thumbnail((_EDGES[0], _EDGES[0]), Image.Resampling.LANCZOS)
    return small
