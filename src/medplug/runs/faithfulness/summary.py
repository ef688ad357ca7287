"""What the figures of single images add up to: means, differences, a ranking, alarms, and a verdict in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from medplug.config.settings import EvaluationSettings
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.means import ANY, mean_figure
from medplug.explain.alarms import HEAVY, RANDOM_WEIGHTS, even_shares, heavy_share
from medplug.explain.measures import MEASURES, RANKED_BY, ranks_before
from medplug.seeds import child_seed

_COMPARED = (
    "margin",
    "insertion",
    "deletion",
    "road",
    "correlation",
    "pointing",
    "mask_share",
    "mask_overlap",
    "infidelity",
)
_SHARES = ("pointing",)  # means of yes and no
CENTRE = "centre"


def summarise(state: dict[str, Any], groups: np.ndarray | None, settings: EvaluationSettings, seed: int) -> None:
    """Fill in all that follows from ``per_image``.

    Adds ``figures``, ``beside_random``, ``beside_centre`` and ``alarms`` to each method, ``figures`` to each baseline, and
    ``ranked_by``, ``ranking``, ``verdict`` and ``alarms`` to the whole.
    """
    intervals = IntervalSettings(settings.resamples, settings.confidence, child_seed(seed, "intervals"))

    def figures(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {
            name: mean_figure(values, groups, intervals, (0.0, 1.0) if name in _SHARES else ANY)
            for name, values in columns.items()
        }

    def beside(columns: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, Any]:
        both = [name for name in _COMPARED if name in columns and name in other]
        return {name: mean_figure(columns[name] - other[name], groups, intervals) for name in both}

    baselines = {name: _arrays(one["per_image"]) for name, one in state["baselines"].items()}
    for name, columns in baselines.items():
        state["baselines"][name]["figures"] = figures(columns)
    for name, one in state["methods"].items():
        columns = _arrays(one["per_image"])
        one["figures"] = figures(columns)
        one["beside_random"] = beside(columns, baselines[one["random"]])
        one["beside_centre"] = beside(columns, baselines[CENTRE])
        one["alarms"] = _alarms(name, columns, tuple(state["baselines"][CENTRE]["map_size"]))
    _rank(state)
    state["alarms"] = [alarm for name in state["ranking"] for alarm in state["methods"][name]["alarms"]]
    own = next((name for name, one in state["methods"].items() if one["own"]), None)
    state["verdict"] = "" if own is None else _verdict(state, own)


def _rank(state: dict[str, Any]) -> None:
    methods = state["methods"]
    measured = [m for m in RANKED_BY if methods and all(_value(one, m) is not None for one in methods.values())]
    state["ranked_by"] = measured[0] if measured else ""
    names = list(methods)
    if measured:
        sign = 1 if ranks_before(measured[0], 0.0, 1.0) else -1
        names.sort(key=lambda name: sign * (_value(methods[name], measured[0]) or 0.0))
    state["ranking"] = names


def _value(one: Mapping[str, Any], measure: str) -> float | None:
    return one["figures"].get(measure, {}).get("value")


def _alarms(name: str, columns: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """What is wrong with a method's maps on the whole: kind, value, limit, and a sentence."""
    found = []
    constant = columns["constant"]
    if constant.any():
        told = f"{int(constant.sum())} of {len(constant)} maps have the same value everywhere: they explain nothing."
        found.append({"kind": "constant", "value": float(constant.mean()), "limit": 0.0, "text": told})
    for kind, where, even in zip(
        ("border", "corners"), ("on the border", "in the corners"), even_shares(shape), strict=True
    ):
        values = columns[kind]
        share, limit = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0, heavy_share(even)
        if share >= limit:
            told = (
                f"{100 * share:.0f} % of the positive evidence lies {where} of the images, where even maps have {100 * even:.0f} % "
                f"(the alarm begins at {100 * limit:.0f} %: {HEAVY:g} times the evidence per pixel of the rest). Look there for "
                "markers, frames and text."
            )
            found.append({"kind": kind, "value": share, "limit": limit, "text": told})
    weights = columns.get("random_weights")
    if weights is not None and np.isfinite(weights).any() and float(np.nanmean(weights)) >= RANDOM_WEIGHTS:
        value = float(np.nanmean(weights))
        told = (
            f"The maps hardly change when all weights of the network are random (rank correlation {value:.2f}, the alarm begins at "
            f"{RANDOM_WEIGHTS:g}): they show the image, not what the network has learned."
        )
        found.append({"kind": "random_weights", "value": value, "limit": RANDOM_WEIGHTS, "text": told})
    return [{"method": name, **alarm} for alarm in found]


def _verdict(state: Mapping[str, Any], own: str) -> str:
    """Whether the run's own method is better than maps that know nothing, in plain words."""
    measure, one = state["ranked_by"], state["methods"][own]
    if measure not in one["beside_random"]:
        return "Whether the run's own method is better than maps that know nothing was not measured."
    parts = [
        f"{_comparison(one[key][measure], measure)} {what}"
        for key, what in (("beside_random", "random maps"), ("beside_centre", "maps of the centre of the image"))
    ]
    figure = one["figures"][measure]
    words = MEASURES[measure].words
    return (
        f"{own}, the run's own method: {words} {figure['value']:.3f}{_between(figure)} over {figure['n']} test images; "
        f"{parts[0]}, and {parts[1]}.{_advice(state, own, measure)}"
    )


def _advice(state: Mapping[str, Any], own: str, measure: str) -> str:
    """What to do where the run's own method does not stand the comparison."""

    def stands(name: str) -> bool:
        one = state["methods"][name]
        return all(_sign(one[key][measure], measure) > 0 for key in ("beside_random", "beside_centre"))

    if stands(own):
        return ""
    best = next((name for name in state["ranking"] if name != own and stands(name)), None)
    better = f"; {best} is better than both" if best else ", and no other method that was measured is better than both"
    return f" Do not rely on its maps{better}."


def _sign(difference: Mapping[str, Any], measure: str) -> int:
    """1 where a difference is clearly good, -1 where it is clearly bad, 0 where the interval tells neither."""
    low, high = difference.get("low"), difference.get("high")
    if low is None or high is None or low <= 0 <= high:
        return 0
    return 1 if (high < 0) == (MEASURES[measure].good == "low") else -1


def _comparison(difference: Mapping[str, Any], measure: str) -> str:
    value, low, high = (difference.get(key) for key in ("value", "low", "high"))
    told = "" if value is None else f" (difference {value:+.3f}{_between(difference)})"
    if low is None or high is None:
        return f"too few images tell how it compares{told} with"
    word, joint = {1: ("better", "than"), -1: ("worse", "than"), 0: ("not to be told apart", "from")}[
        _sign(difference, measure)
    ]
    return f"{word}{told} {joint}"


def _between(figure: Mapping[str, Any]) -> str:
    if figure.get("low") is None or figure.get("high") is None:
        return ""
    return f", {figure['low']:.3f} to {figure['high']:.3f}"


def _arrays(columns: Mapping[str, list[float | None]]) -> dict[str, np.ndarray]:
    return {name: np.array([np.nan if v is None else v for v in column]) for name, column in columns.items()}
