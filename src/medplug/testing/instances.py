"""Which instances of a component are tested: its default, its examples, and some with drawn parameters."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from medplug.errors import ParameterError
from medplug.params import Parameter, build, is_component, parameters, schema
from medplug.testing.checks import Case

DRAWN_KINDS = (
    "loss",
    "augmenter",
    "metric",
    "optimizer",
    "schedule",
    "mixer",
)  # cheap enough, and their parameters enter the arithmetic
_OPEN_END = 100.0  # how far numbers are drawn on a side without a bound


def cases_of(obj: Any, kind: str, draw: int, fixtures: Mapping[str, Any]) -> list[Case]:
    """The cases of a class, or the one of an instance.

    Raises:
        ParameterError: the class has required parameters and no ``examples``.
    """
    if not isinstance(obj, type):
        return [Case(obj, kind, _label(obj), not _meant(obj), fixtures=fixtures)]
    cases = list(_declared(obj, kind, fixtures))
    if not cases:
        required = ", ".join(p.name for p in schema(obj) if p.required)
        raise ParameterError(
            f"{obj.__qualname__} has no instance to test: give {required} a default, or the class an attribute "
            f"examples = ({{'{required.split(', ')[0]}': ...}},)"
        )
    if kind in DRAWN_KINDS and is_component(obj) and schema(obj) and draw > 0:
        seen = [case.obj for case in cases]
        drawn = [one for one in draw_instances(obj, draw) if one not in seen]
        cases += [Case(one, kind, f"drawn {_label(one)}", True, fixtures=fixtures) for one in drawn]
    return cases


def examples_of(cls: type) -> list[Any]:
    """The instances that a class declares as typical: ``examples`` holds instances or dicts of parameters."""
    declared = getattr(cls, "examples", ())
    return [build(cls, dict(e)) if isinstance(e, Mapping) else e for e in declared]


def _declared(cls: type, kind: str, fixtures: Mapping[str, Any]) -> Iterator[Case]:
    if not any(p.required for p in schema(cls)):
        default = cls()
        bare = _without_weights(default) if kind == "architecture" else None
        if bare is not None:
            yield Case(bare, kind, "weights=None", fixtures=fixtures)
        yield Case(default, kind, "default", cheap=bare is not None, fixtures=fixtures)
    for example in examples_of(cls):
        yield Case(example, kind, f"example {_label(example)}", fixtures=fixtures)


def _without_weights(default: Any) -> Any:
    """The same architecture without its weights; None where there is no difference."""
    values = parameters(default)
    if values.get("weights") is None:
        return None
    try:
        return build(type(default), {**values, "weights": None})
    except ParameterError:
        return None


def _meant(obj: Any) -> bool:
    """Whether semantic checks are fair: the instance is a default or an example, or there is none to compare with."""
    cls = type(obj)
    if not is_component(cls) or any(p.required for p in schema(cls)):
        return True
    return obj in (cls(), *examples_of(cls))


def _label(obj: Any) -> str:
    values = parameters(obj)
    return ",".join(f"{name}={value}" for name, value in values.items()) or type(obj).__name__


# ---------------------------------------------------------------- drawing


def draw_instances(cls: type, count: int) -> list[Any]:
    """Up to ``count`` different instances with parameters drawn from their types and bounds, the same each time.

    Numbers take their bounds often. An open side is drawn up to 100 away; text and lists of free length keep
    their default, for the kit cannot know what they mean. Combinations that the class refuses are passed over.
    """
    from hypothesis import HealthCheck, Phase, given, reject, settings
    from hypothesis import strategies as st

    found: list[Any] = []
    strategy = st.fixed_dictionaries({p.name: _strategy(p, p.annotation) for p in schema(cls)})

    @settings(
        max_examples=4 * count,  # the class may refuse some, and some come twice
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.filter_too_much),
    )
    @given(strategy)
    def collect(values: dict[str, Any]) -> None:
        if len(found) >= count:
            return
        try:
            one = build(cls, values)
        except ParameterError:
            reject()
        if one not in found:
            found.append(one)

    collect()
    return found


def _strategy(parameter: Parameter, annotation: Any) -> Any:
    from hypothesis import strategies as st

    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_strategy(parameter, a) for a in args))
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return st.tuples(*(_strategy(parameter, a) for a in args))
    if annotation is bool:
        return st.booleans()
    if annotation in (int, float):
        return _numbers(annotation, parameter.bounds)
    if annotation is type(None):
        return st.none()
    return st.just(parameter.default)


def _numbers(kind: type, bounds: dict[str, float]) -> Any:
    from hypothesis import strategies as st

    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    bottom = low if low is not None else (high or 0.0) - _OPEN_END
    top = high if high is not None else bottom + _OPEN_END if low is not None else _OPEN_END
    if kind is int:
        lowest = int(bottom) + ("gt" in bounds)
        highest = int(top) - ("lt" in bounds)
        return st.one_of(st.sampled_from((lowest, highest)), st.integers(lowest, highest))
    edges = [float(bounds[rule]) for rule in ("ge", "le") if rule in bounds]
    inside = st.floats(bottom, top, exclude_min="gt" in bounds, exclude_max="lt" in bounds, allow_subnormal=False)
    return st.one_of(st.sampled_from(edges), inside) if edges else inside
