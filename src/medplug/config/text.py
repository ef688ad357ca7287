"""Values typed as text (``--set KEY=VALUE``) to the type of their field."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

NONE = "none"


class Text(str):
    """A value as the user typed it, still to be read by the type of its field."""

    __slots__ = ()


def parse(value: Any, annotation: Any) -> Any:
    """Read a typed text by the field's annotation; other values pass, except ``"none"``, which TOML uses for None."""
    origin, args = get_origin(annotation), get_args(annotation)
    optional = origin in (Union, types.UnionType) and type(None) in args
    if optional and isinstance(value, str) and value.strip().lower() == NONE:
        return None
    if not isinstance(value, Text):
        return value
    if origin in (Union, types.UnionType):
        options = [a for a in args if a is not type(None)]
        return parse(value, options[0]) if len(options) == 1 else str(value)
    if origin is tuple:
        return _parse_list(value, args)
    if origin is Literal:
        return next((choice for choice in args if str(choice) == value), str(value))
    return _parse_scalar(value, annotation)


def split_list(value: str) -> list[str]:
    """``"a, b"`` or ``"[a, b]"`` to its parts."""
    return [part.strip().strip("'\"") for part in value.strip().strip("[]").split(",") if part.strip()]


def _parse_list(value: Text, args: tuple[Any, ...]) -> list[Any]:
    parts = split_list(value)
    kinds = [args[0]] * len(parts) if len(args) == 2 and args[1] is Ellipsis else list(args)
    return [parse(Text(part), kind) for part, kind in zip(parts, kinds, strict=False)]


def _parse_scalar(value: Text, annotation: Any) -> Any:
    lowered = value.strip().lower()
    if annotation is bool and lowered in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        return lowered in ("true", "yes", "on", "1")
    if annotation in (int, float):
        try:
            return annotation(value)
        except ValueError:
            return str(value)
    return str(value)
