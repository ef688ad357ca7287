"""Text to HTML. Names of classes and files come from strangers: nothing reaches the page but through here."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Control characters, surrogates and marks that turn the direction of text: shown as their code.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff]"
)

_ABBREVIATIONS = frozenset({"auc", "ece", "f1", "mcc", "npv", "ovo", "ovr", "ppv", "roc"})
_NAMES = {"brier": "Brier score"}


def text(value: object) -> str:
    """Escaped for element content and quoted attributes; invisible characters become visible codes."""
    return html.escape(visible(value), quote=True)


def visible(value: object) -> str:
    """The text with invisible characters as codes, as it will be read."""
    return _HIDDEN.sub(lambda m: f"\\u{ord(m.group()):04x}", str(value))


def name(value: object) -> str:
    """A name from outside, isolated so that right-to-left text cannot reorder what stands around it."""
    return f"<bdi>{text(value)}</bdi>"


def label(metric: str) -> str:
    """A metric's name as words.

    >>> label("roc_auc")
    'ROC AUC'
    """
    return " ".join(_NAMES.get(w, w.upper() if w in _ABBREVIATIONS else w) for w in metric.split("_"))


def number(value: float | None) -> str:
    """Three decimals up to 1, three digits beyond, a dash for nothing.

    >>> number(0.25), number(1.6963), number(41.28), number(1234.5)
    ('0.250', '1.70', '41.3', '1,234')
    """
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    return f"{value:,.{3 if size <= 1 else 2 if size < 9.995 else 1 if size < 99.95 else 0}f}"


def percent(value: float) -> str:
    """``0.9312`` as ``93.1 %``; only what is all or nothing reads ``100.0 %`` or ``0.0 %``."""
    shown = f"{100 * value:.1f}"
    if shown == "100.0" and value < 1:
        shown = "over 99.9"
    elif shown == "0.0" and value > 0:
        shown = "under 0.1"
    return f"{shown}\u00a0%"


def p_value(value: float) -> str:
    """``p = 0.012``, or ``p < 0.001``, as HTML."""
    return "p\u00a0&lt;\u00a00.001" if value < 0.001 else f"p\u00a0=\u00a0{number(value)}"


def plural(count: int, word: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{count:,}\u00a0{word if count == 1 else word + 's'}"


def listing(names: Sequence[str], limit: int = 5) -> str:
    """Names in a sentence; from the sixth on only their number."""
    shown = ", ".join(name(n) for n in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def table(head: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    """A table from finished HTML cells; the first column names the row. It scrolls by itself on narrow screens."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(cells: Iterable[str]) -> str:
    first, *rest = cells
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest)


def bullets(items: Iterable[str]) -> str:
    """A list of finished HTML items; nothing where there are none."""
    body = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{body}</ul>" if body else ""


def section(anchor: str, title: str, *parts: str) -> str:
    """A section of the page; nothing where all its parts are empty."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{anchor}"><h2>{title}</h2>\n{body}\n</section>' if body else ""


def words(value: Any) -> str:
    """A nested value on one line: ``"jax 0.10.2, numpy 2.4.6"``."""
    if isinstance(value, dict):
        apart = "; " if any(isinstance(inner, dict) for inner in value.values()) else ", "
        return apart.join(
            f"{key}: {words(inner)}" if isinstance(inner, dict) else f"{key} {words(inner)}"
            for key, inner in value.items()
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(map(words, value)) or "none"
    return "–" if value is None else str(value)
