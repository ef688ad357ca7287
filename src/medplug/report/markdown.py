"""Text to Markdown and to its YAML front matter. Names come from strangers: nothing gets there but through here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medplug.report.markup import visible

_BREAKS = re.compile(r"[\s\u2028\u2029]+")
_MARKS = re.compile(r"([\\`*_{}\[\]#|~$])")
_START = re.compile(r"^(\d{0,9})([-+.)=])(?=\s|$|[-=]+\s*$)")  # what would begin a list, or underline a heading


def escape(value: object) -> str:
    r"""Text that Markdown shows as it is, on one line: marks are escaped, HTML and addresses do not come to life.

    >>> print(escape("a|b <img> *c*"))
    a\|b &lt;img&gt; \*c\*
    """
    plain = _MARKS.sub(r"\\\1", _BREAKS.sub(" ", visible(value)).strip())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("://", ":&#47;&#47;")
    return _START.sub(r"\1\\\2", plain)


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table from plain text; every cell is escaped."""
    lines = [_row(head), f"|{' --- |' * len(head)}", *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(escape(cell) for cell in cells)} |"


def bullets(items: Iterable[object]) -> str:
    """A list from plain text; every item is escaped."""
    return "".join(f"- {escape(item)}\n" for item in items)


def yaml(value: Any, indent: int = 0) -> str:
    """Nested mappings and lists as block YAML. Every text is double-quoted, so that no name can be read as anything else."""
    space = "  " * indent
    if isinstance(value, Mapping):
        return "".join(f"{space}{key}:{_inner(inner, indent)}" for key, inner in value.items())
    return "".join(f"{space}-{_item(inner, indent)}" for inner in value)


def _inner(value: Any, indent: int) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "\n" + yaml(value, indent + 1) if value else " []\n"
    return f" {_scalar(value)}\n"


def _item(value: Any, indent: int) -> str:
    if isinstance(value, Mapping):
        return " " + yaml(value, indent + 1).lstrip()
    return f" {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    """JSON, which YAML reads as well; floats get a point, without which YAML 1.1 takes ``1e-05`` for text."""
    if isinstance(value, float):
        shown = f"{value:.6g}"
        mantissa, mark, exponent = shown.partition("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}{mark}{exponent}"
    if isinstance(value, str):
        return json.dumps(_BREAKS.sub(" ", visible(value)), ensure_ascii=False)
    return json.dumps(value)
