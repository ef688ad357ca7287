"""medplug: labelled medical images to a trained, evaluated and explained classifier; every stage is a plugin.

Research software. Not a medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medplug.version import __version__ as __version__

if TYPE_CHECKING:
    from medplug.api import Pipeline as Pipeline
    from medplug.api import build_network as build_network
    from medplug.api import check as check
    from medplug.api import compare_runs as compare_runs
    from medplug.api import evaluate_predictions as evaluate_predictions
    from medplug.api import load_run as load_run
    from medplug.api import make as make
    from medplug.api import split as split
    from medplug.rates import find_learning_rates as find_learning_rates
    from medplug.runs.faithfulness.measuring import measure_faithfulness as measure_faithfulness
    from medplug.runs.run import Run as Run

__all__ = [
    "Pipeline",
    "Run",
    "build_network",
    "check",
    "compare_runs",
    "evaluate_predictions",
    "find_learning_rates",
    "load_run",
    "make",
    "measure_faithfulness",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'medplug' has no attribute {name!r}")
    if name == "Run":
        from medplug.runs.run import Run

        return Run
    if name == "measure_faithfulness":
        from medplug.runs.faithfulness.measuring import measure_faithfulness

        return measure_faithfulness
    if name == "find_learning_rates":
        from medplug.rates import find_learning_rates

        return find_learning_rates
    from medplug import api

    return getattr(api, name)
