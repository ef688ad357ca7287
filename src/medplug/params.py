"""Components are their parameters: frozen dataclasses that check and coerce what they are given.

A component is hashable and compared by value, so that it can be a static argument of ``jax.jit``:
two equal components share one compilation. That only works when equal-looking values *are* equal,
hence the coercion (``1`` becomes ``1.0`` in a float field, a list becomes a tuple).
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal, Union, dataclass_transform, get_args, get_origin

from medplug.errors import ParameterError, did_you_mean

RESERVED = frozenset({"use", "kind", "name", "tasks", "examples"})
_MISSING: Any = dataclasses.MISSING
_ALLOWED = "bool, int, float, str, Literal[...], tuple[T, ...], tuple[A, B] or X | None"


def param(
    help: str,  # noqa: A002 - the field's word for it, as in argparse
    *,
    default: Any = _MISSING,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Declare one parameter of a component.

    Args:
        help: one line for ``medplug plugins show``, with the unit.
        default: the value when none is given; without it the parameter is required.
        ge, gt, le, lt: bounds of a number, or of each number in a tuple.
    """
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    metadata = {"help": help, "bounds": {k: v for k, v in bounds.items() if v is not None}}
    if default is _MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(param,))
def component(cls: type) -> type:
    """Make a class a component: its annotated attributes become checked, frozen parameters.

    Plain class attributes (without annotation) stay what they are: facts about the component.

    >>> @component
    ... class Demo:
    ...     gamma: float = param("strength", default=2.0, ge=0)
    >>> Demo(gamma=3) == Demo(gamma=3.0)
    True
    """
    taken = RESERVED & set(vars(cls).get("__annotations__", {}))
    if taken:
        reserved = ", ".join(sorted(RESERVED))
        raise TypeError(
            f"{cls.__qualname__}: {', '.join(sorted(taken))} cannot be parameters (reserved: {reserved}); rename them, "
            "or leave out the annotation where a fact about the class is meant"
        )
    inner = cls.__dict__.get("__post_init__")

    def check(self: Any) -> None:
        if "__medplug_component__" not in type(self).__dict__:
            raise TypeError(f"{type(self).__qualname__} subclasses a component and needs its own @component")
        _coerce_fields(self)
        if inner is not None:
            inner(self)

    cls.__post_init__ = check  # type: ignore[attr-defined]
    cls.__medplug_component__ = True  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def is_component(obj: object) -> bool:
    """Whether ``obj`` is a class made by :func:`component`, or an instance of one."""
    cls = obj if isinstance(obj, type) else type(obj)
    return "__medplug_component__" in cls.__dict__


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a component, described."""

    name: str
    annotation: Any
    help: str
    bounds: dict[str, float]
    required: bool
    default: Any

    @property
    def type_name(self) -> str:
        """The type as a user writes it: ``float``, ``'a' | 'b'``, ``str | None``."""
        return _type_name(self.annotation)


def schema(cls: type) -> tuple[Parameter, ...]:
    """The parameters of a component class, in the order of their declaration."""
    if not is_component(cls):
        return ()
    hints = typing.get_type_hints(cls)
    fields = [f for f in dataclasses.fields(cls) if f.init]
    return tuple(
        Parameter(
            name=f.name,
            annotation=hints[f.name],
            help=f.metadata.get("help", ""),
            bounds=dict(f.metadata.get("bounds", {})),
            required=f.default is _MISSING and f.default_factory is _MISSING,
            default=None if f.default is _MISSING else f.default,
        )
        for f in fields
    )


def build(cls: type, values: dict[str, Any], where: str = "") -> Any:
    """Make an instance from plain values, with messages that name ``where`` (``loss/focal``)."""
    where = where or cls.__qualname__
    if not is_component(cls):
        if values:
            raise ParameterError(f"{where}: takes no parameters, got {', '.join(sorted(values))}")
        return cls()
    known = {p.name: p for p in schema(cls)}
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known)
            listing = ", ".join(known) or "none"
            raise ParameterError(f"{where}: unknown parameter {name!r}{hint} (parameters: {listing})")
    for name, parameter in known.items():
        if parameter.required and name not in values:
            raise ParameterError(f"{where}: parameter {name!r} is required ({parameter.help})")
    try:
        return cls(**values)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from None


def parameters(obj: Any) -> dict[str, Any]:
    """The values of a component's parameters; an object that is no component has none."""
    if not is_component(obj):
        return {}
    return {f.name: getattr(obj, f.name) for f in dataclasses.fields(obj) if f.init}


# ---------------------------------------------------------------- coercion


def _coerce_fields(obj: Any) -> None:
    hints = typing.get_type_hints(type(obj))
    for field in dataclasses.fields(obj):
        value = getattr(obj, field.name)
        coerced = _coerce(value, hints[field.name], field.name)
        _check_bounds(coerced, field)
        object.__setattr__(obj, field.name, coerced)


def _coerce(value: Any, annotation: Any, name: str) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _coerce_union(value, args, name)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in args):
            return value
        hint = did_you_mean(str(value), map(str, args))
        raise ParameterError(f"{name} must be one of {', '.join(map(repr, args))}, got {value!r}{hint}")
    if origin is tuple:
        return _coerce_tuple(value, args, name)
    if annotation in (bool, int, float, str):
        return _coerce_scalar(value, annotation, name)
    raise TypeError(f"parameter {name!r} has type {annotation!r}; allowed are {_ALLOWED}")


def _coerce_union(value: Any, args: tuple[Any, ...], name: str) -> Any:
    if value is None and type(None) in args:
        return None
    problem: ParameterError | None = None
    for option in args:
        if option is type(None):
            continue
        try:
            return _coerce(value, option, name)
        except ParameterError as error:
            problem = error
    raise problem or ParameterError(f"{name} cannot be {value!r}")


def _coerce_tuple(value: Any, args: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ParameterError(f"{name} must be a list, got {value!r}")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_coerce(v, args[0], name) for v in value)
    if len(value) != len(args):
        raise ParameterError(f"{name} must have {len(args)} values, got {len(value)}")
    return tuple(_coerce(v, a, name) for v, a in zip(value, args, strict=True))


def _coerce_scalar(value: Any, kind: type, name: str) -> Any:
    value = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
    if kind is float and type(value) in (int, float):
        number = float(value)
        if math.isnan(number):
            raise ParameterError(f"{name} must be a number, got nan")
        return number + 0.0  # -0.0 becomes 0.0: they are equal but print and hash apart
    if type(value) is kind:
        return value
    raise ParameterError(f"{name} must be {kind.__name__}, got {value!r}")


def _check_bounds(value: Any, field: dataclasses.Field[Any]) -> None:
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            continue
        for rule, bound in field.metadata.get("bounds", {}).items():
            word, holds = _RULES[rule]
            if not holds(number, bound):
                raise ParameterError(f"{field.name} must be {word} {bound:g}, got {number:g}")


_RULES = {
    "ge": ("at least", lambda v, b: v >= b),
    "gt": ("greater than", lambda v, b: v > b),
    "le": ("at most", lambda v, b: v <= b),
    "lt": ("less than", lambda v, b: v < b),
}


def _type_name(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " | ".join(_type_name(a) for a in args)
    if origin is Literal:
        return " | ".join(map(repr, args))
    if origin is tuple:
        return "list of " + " and ".join(dict.fromkeys(_type_name(a) for a in args if a is not Ellipsis))
    return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))
