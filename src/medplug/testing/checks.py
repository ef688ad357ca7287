"""What a check is, what it runs on, and what comes out of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Status = Literal["passed", "failed", "skipped"]


class CheckError(AssertionError):
    """A component does not do what a check demands; the message says what it did."""


class NotApplicable(Exception):  # noqa: N818 - not an error: the check has nothing to look at
    """The check does not apply to this component; the message says why."""


class ConformanceError(AssertionError):
    """At least one check failed. ``report`` has all outcomes."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass
class Case:
    """One instance under test.

    Attributes:
        obj: the component, or the record of a recipe, or the name of a distribution.
        kind: a key of the table of kinds, or ``"plugin"``.
        label: how reports name the instance.
        drawn: its parameters were drawn: only what holds for every legal parameter is asked of it.
        cheap: only checks that need no computation are run (a network that was already tested without weights).
        fixtures: what the author of the test handed over.
    """

    obj: Any
    kind: str
    label: str = "default"
    drawn: bool = False
    cheap: bool = False
    fixtures: Mapping[str, Any] = field(default_factory=dict)
    _memo: dict[str, Any] = field(default_factory=dict, repr=False)

    def once(self, key: str, make: Callable[[], T]) -> T:
        """A value that several checks of the instance share, such as a compiled function."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    def folder(self) -> Path:
        """A temporary folder that lives as long as the case."""
        return Path(self.once("folder", TemporaryDirectory).name)


@dataclass(frozen=True)
class Check:
    """One demand on a component.

    Attributes:
        name: snake_case; what ``expect_fail`` refers to.
        run: raises :class:`CheckError`, :class:`NotApplicable`, or whatever the component raises.
        mend: how an author puts it right.
        semantic: asked of defaults and ``examples`` only: it need not hold for every legal parameter, or does not
            depend on parameters.
        cheap: needs no heavy computation.
    """

    name: str
    run: Callable[[Case], None]
    mend: str
    semantic: bool = False
    cheap: bool = False

    def applies(self, case: Case) -> bool:
        """Whether the check is run on a case at all."""
        return not (self.semantic and case.drawn) and not (case.cheap and not self.cheap)


def check(mend: str, *, semantic: bool = False, cheap: bool = False) -> Callable[[Callable[[Case], None]], Check]:
    """Make a function a :class:`Check` of the same name."""
    return lambda run: Check(run.__name__, run, mend, semantic, cheap)


def require(condition: object, message: str) -> None:
    """Fail the running check, with a message that says what was found, unless the condition holds."""
    if not bool(condition):
        raise CheckError(message)


@dataclass(frozen=True)
class Outcome:
    """What one check said of one instance."""

    check: str
    label: str
    status: Status
    message: str = ""


def run_check(one: Check, case: Case) -> Outcome:
    """Run one check; an exception of the component is a failure, never an error of the kit."""
    try:
        one.run(case)
    except NotApplicable as reason:
        return Outcome(one.name, case.label, "skipped", str(reason))
    except CheckError as failure:
        return Outcome(one.name, case.label, "failed", f"{failure}\n      -> {one.mend}")
    except Exception as error:  # whatever a component raises is a finding
        lines = str(error).strip().splitlines()
        what = f"raised {type(error).__name__}: {lines[0] if lines else 'no message'}{_where(error)}"
        return Outcome(one.name, case.label, "failed", f"{what}\n      -> {one.mend}")
    return Outcome(one.name, case.label, "passed")


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    inner = [f for f in frames if "site-packages" not in f.filename and "/lib/python" not in f.filename]
    return f" ({inner[-1].filename}:{inner[-1].lineno})" if inner else ""


@dataclass(frozen=True)
class Report:
    """All outcomes of a component.

    Attributes:
        subject: the component's name.
        outcomes: one per check and instance.
        expected: check names that were announced as failing, with the reason.
    """

    subject: str
    outcomes: tuple[Outcome, ...]
    expected: Mapping[str, str] = field(default_factory=dict)

    def named(self, status: Status) -> tuple[str, ...]:
        """Names of the checks with that status on at least one instance."""
        return tuple(dict.fromkeys(o.check for o in self.outcomes if o.status == status))

    @property
    def passed(self) -> tuple[str, ...]:
        """Checks that passed on at least one instance."""
        return self.named("passed")

    @property
    def failed(self) -> tuple[str, ...]:
        """Checks that failed on at least one instance and were not announced."""
        return tuple(name for name in self.named("failed") if name not in self.expected)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Checks that did not apply to at least one instance."""
        return self.named("skipped")

    @property
    def surprises(self) -> tuple[str, ...]:
        """Announced failures that did not come."""
        return tuple(name for name in self.expected if name not in self.named("failed"))

    @property
    def ok(self) -> bool:
        """Something was checked, nothing failed unannounced, and everything announced did fail."""
        return bool(self.passed) and not self.failed and not self.surprises

    def __str__(self) -> str:
        counts = {s: sum(o.status == s for o in self.outcomes) for s in ("passed", "failed", "skipped")}
        lines = [f"{self.subject}: " + ", ".join(f"{n} {status}" for status, n in counts.items())]
        if not self.passed:
            lines.append("  nothing was checked")
        for outcome in self.outcomes:
            if outcome.status == "failed" and outcome.check not in self.expected:
                lines.append(f"  {outcome.check} [{outcome.label}]: {outcome.message}")
        lines += [f"  {name}: was expected to fail ({self.expected[name]}) but did not" for name in self.surprises]
        lines += [
            f"  skipped {o.check} [{o.label}]: {o.message}"
            for o in self.outcomes
            if o.status == "skipped" and o.message
        ]
        return "\n".join(lines)
