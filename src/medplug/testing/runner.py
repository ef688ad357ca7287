"""Checking one component of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from medplug.errors import UsageError, did_you_mean
from medplug.plugins.kinds import KINDS
from medplug.plugins.records import Component
from medplug.plugins.registry import Registry
from medplug.testing.checks import Case, Check, ConformanceError, Report, run_check
from medplug.testing.common import COMMON
from medplug.testing.instances import cases_of

_CALLED = {"loss": "logits", "metric": "probabilities", "augmenter": "images", "schedule": "steps"}


def check_component(
    obj: Any,
    *,
    kind: str | None = None,
    expect_fail: Mapping[str, str] | None = None,
    draw: int = 10,
    **fixtures: Any,
) -> Report:
    """Run the checks of a component's kind on it.

    Args:
        obj: a class (its default, its ``examples`` and instances with drawn parameters are tested), one instance,
            or a record as plugins yield it.
        kind: what it is; found from the record, from a class attribute ``kind`` or from its methods where left out.
        expect_fail: checks that are known to fail, with the reason; one that does not fail is an error.
        draw: how many instances with drawn parameters are tested of a loss, metric, augmenter, mixer, optimizer or schedule.
        **fixtures: what a kind needs. Readers: ``source``, a data source or a function from an empty folder to one,
            and ``named_only=True`` where ``can_read`` is always 0. Architectures: ``input_shape`` ``(*S, C)``.
            Recipes: ``registry``, where names are looked up, by default all that is installed.

    Returns:
        The report, which counts what passed and what was skipped.

    Raises:
        ConformanceError: an ``AssertionError`` that lists each failed check, what was wrong and how to mend it.
    """
    kind = kind or kind_of(obj)
    checks = checks_of(kind)
    expected = dict(expect_fail or {})
    require_known(expected, checks)
    if isinstance(obj, Component):
        subject = obj.key
        cases = [Case(obj, kind, obj.name, fixtures=fixtures)] if kind == "recipe" else None
        obj = obj if cases else Registry().load(obj)
    else:
        subject, cases = f"{kind}/{(obj if isinstance(obj, type) else type(obj)).__qualname__}", None
    cases = cases or cases_of(obj, kind, draw, fixtures)
    outcomes = tuple(run_check(one, case) for case in cases for one in checks if one.applies(case))
    report = Report(subject, outcomes, expected)
    if not report.ok:
        raise ConformanceError(report)
    return report


def checks_of(kind: str) -> tuple[Check, ...]:
    """All checks of a kind: those that every component has to pass, then its own."""
    if kind not in KINDS:
        raise UsageError(f"unknown kind {kind!r}{did_you_mean(kind, KINDS)} (kinds: {', '.join(KINDS)})")
    module, _, attribute = KINDS[kind].checks.partition(":")
    own: tuple[Check, ...] = getattr(import_module(module), attribute)
    if kind == "recipe":  # a file, not an object
        return own
    if kind in ("observer", "preprocessor"):  # have some of the methods, not all
        return tuple(c for c in COMMON if c.name != "keeps_the_protocol") + own
    return COMMON + own


def kind_of(obj: Any) -> str:
    """The kind of a record, or of an object that says so or has methods that no other kind has."""
    declared = getattr(obj, "kind", None)
    if declared in KINDS:
        return str(declared)
    if hasattr(obj, "can_read"):
        return "reader"
    if hasattr(obj, "build"):
        return "architecture"
    code = getattr(getattr(obj, "__call__", None), "__code__", None)  # noqa: B004 - its argument names are looked at
    names = code.co_varnames[: code.co_argcount] if code else ()
    if "target" in names:
        return "preprocessor"
    if "network" in names:
        return "explainer"
    if {"images", "targets"} <= set(names):
        return "mixer"
    if names == ("self",):
        return "optimizer"
    found = [kind for kind, word in _CALLED.items() if word in names]
    if len(found) == 1:
        return found[0]
    cls = obj if isinstance(obj, type) else type(obj)
    raise UsageError(
        f"{cls.__qualname__}: the kind cannot be told from its methods; pass kind= one of {', '.join(KINDS)}"
    )


def require_known(names: Mapping[str, str], checks: tuple[Check, ...]) -> None:
    """Refuse an expected failure of a check that does not exist: it would never be looked at."""
    known = [c.name for c in checks]
    for name in names:
        if name not in known:
            raise UsageError(f"expect_fail: no check {name!r}{did_you_mean(name, known)} (checks: {', '.join(known)})")
