"""One line for a plugin's tests: a pytest class that checks everything the plugin offers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from medplug.errors import MedplugError, UsageError, did_you_mean
from medplug.plugins.records import Component
from medplug.plugins.registry import Registry
from medplug.testing.checks import Case, Check, run_check
from medplug.testing.instances import cases_of
from medplug.testing.plugin import PLUGIN_CHECKS, discover
from medplug.testing.runner import checks_of


def plugin_tests(
    distribution: str,
    *,
    expect_fail: Mapping[str, str] | None = None,
    fixtures: Mapping[str, Mapping[str, Any]] | None = None,
    draw: int = 10,
    kinds: Collection[str] | None = None,
) -> type:
    """A pytest class with one case per component, instance and check of an installed plugin.

    >>> TestExample = plugin_tests("medplug-example")    # doctest: +SKIP

    Args:
        distribution: the name of the package as pip knows it.
        expect_fail: ``{"loss/poly1:rows_independent": "reason"}``: checks known to fail; one that passes on all
            instances is a failure.
        fixtures: what single components need, by ``kind/name``: ``{"reader/mine": {"source": make_source}}``;
            :func:`medplug.testing.check_component` lists them.
        draw: how many instances with drawn parameters are tested of each loss, metric, augmenter, mixer, optimizer and
            schedule.
        kinds: only components of these kinds are tested, as in ``("loss", "metric")``; None tests all.
    """
    import pytest

    registry = discover(distribution)
    expected, given = dict(expect_fail or {}), dict(fixtures or {})
    keys = [record.key for record in registry.components()]
    _require_known("expect_fail", [key.partition(":")[0] for key in expected], keys)
    _require_known("fixtures", list(given), keys)
    params = [
        pytest.param(_runner(one, [case]), id=f"plugin-{one.name}")
        for case in [Case(distribution, "plugin", distribution)]
        for one in PLUGIN_CHECKS
    ]
    for record in registry.components():
        if kinds is not None and record.kind not in kinds:
            continue
        params += _params(registry, record, expected, given.get(record.key, {}), draw)

    class PluginTests:
        """Conformance of one plugin."""

        @pytest.mark.parametrize("conformance", params)
        def test_conformance(self, conformance: Callable[[], None]) -> None:
            conformance()

    PluginTests.__doc__ = f"Conformance of {distribution}."
    return PluginTests


def _params(
    registry: Registry, record: Component, expected: dict[str, str], fixtures: Mapping[str, Any], draw: int
) -> list[Any]:
    """The cases of one component; a component that cannot be made is one failing case."""
    import pytest

    try:
        checks = checks_of(record.kind)
        if record.kind == "recipe":
            cases = [Case(record, record.kind, "file", fixtures=fixtures)]
        else:
            cases = cases_of(registry.load(record), record.kind, draw, fixtures)
    except MedplugError as error:
        return [pytest.param(_failing(str(error)), id=f"{record.key}-made")]
    names = {key.partition(":")[2]: reason for key, reason in expected.items() if key.startswith(f"{record.key}:")}
    _require_known("expect_fail", list(names), [c.name for c in checks])
    params = []
    for one in checks:
        fitting = [case for case in cases if one.applies(case)]
        if one.name in names:  # all instances in one case, for not each of them has to fail
            mark = pytest.mark.xfail(reason=names[one.name], strict=True, raises=AssertionError)
            params.append(pytest.param(_runner(one, fitting), id=f"{record.key}-all-{one.name}", marks=mark))
        else:
            params += [pytest.param(_runner(one, [c]), id=f"{record.key}-{c.label}-{one.name}") for c in fitting]
    return params


def _runner(one: Check, cases: list[Case]) -> Callable[[], None]:
    def conformance() -> None:
        import pytest

        __tracebackhide__ = True
        outcomes = [run_check(one, case) for case in cases]
        failed = [f"{o.check} [{o.label}]: {o.message}" for o in outcomes if o.status == "failed"]
        if failed:
            raise AssertionError("\n".join(failed))
        if outcomes and all(o.status == "skipped" for o in outcomes):
            pytest.skip(outcomes[0].message)

    return conformance


def _failing(message: str) -> Callable[[], None]:
    def conformance() -> None:
        raise AssertionError(message)

    return conformance


def _require_known(what: str, names: list[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise UsageError(
                f"{what}: {name!r} is unknown{did_you_mean(name, known)} (known: {', '.join(known) or 'nothing'})"
            )
