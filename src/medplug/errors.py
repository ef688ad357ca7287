"""Every error that medplug raises on purpose.

An error of this module carries a sentence for the user: what was wrong, where, and what to do.
The command line prints that sentence without a traceback and leaves with ``exit_code``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MedplugError(Exception):
    """Base of all errors with a message meant for the user."""

    exit_code = 1


class UsageError(MedplugError):
    """Wrong use: an unknown option, a bad value, an output folder that is not empty."""

    exit_code = 2


class DataError(MedplugError):
    """The data cannot be used: missing, empty, one class only, a column that is not there."""

    exit_code = 2


class ParameterError(UsageError, ValueError):
    """A component's parameter is unknown or has an impossible value."""


class UnknownComponentError(UsageError, LookupError):
    """No installed plugin offers a component of that kind and name."""


class AmbiguousComponentError(UsageError, LookupError):
    """Several distributions offer the name; it has to be qualified."""


class BrokenComponentError(MedplugError):
    """The component is registered but its class cannot be imported or built."""


class ContractError(MedplugError):
    """A component broke its contract while it ran: wrong shape, dtype or range."""


class WeightsError(MedplugError):
    """A weights file is missing, damaged, unsafe, or does not fit the network."""

    exit_code = 2


class RunError(MedplugError):
    """A run folder is incomplete or belongs to another version."""

    exit_code = 2


class TrainingError(MedplugError):
    """Training stopped because it could not go on, for instance with a loss that is not finite."""


def nearest(name: str, choices: Iterable[str], limit: int = 3) -> list[str]:
    """The choices that look most like ``name``, best first; possibly empty."""
    return difflib.get_close_matches(name, list(choices), n=limit, cutoff=0.6)


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """``"; did you mean 'gamma'?"`` or an empty string, to append to a message.

    >>> did_you_mean("gama", ["gamma", "alpha"])
    "; did you mean 'gamma'?"
    """
    close = nearest(name, choices, limit=1)
    return f"; did you mean {close[0]!r}?" if close else ""
