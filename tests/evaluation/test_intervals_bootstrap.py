"""Intervals from resamples: BCa as SciPy has it, and where it has nothing to say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from interval_cases import Mean, drawn, predictions
from scipy import stats

from medplug.evaluation.bootstrap import acceleration, bca_interval
from medplug.evaluation.intervals import IntervalSettings, units, weight_matrices
from medplug.evaluation.scores import score
from medplug.values import Predictions


@pytest.mark.parametrize(("n", "tolerance"), [(60, 0.03), (8, 0.02)])
def test_bca_as_scipy_has_it_but_for_the_spread_of_levels(n: int, tolerance: float) -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(0.5, 2, n) if n > 8 else rng.uniform(0.5, 1, n)
    found = Predictions(
        tuple(map(str, range(n))), np.stack([p, 1 - p], 1), np.eye(2, dtype=np.float32)[np.arange(n) % 2], ("a", "b"),
        "multiclass",
    )  # fmt: skip
    figure = score(found, {"mean": Mean()}, intervals=IntervalSettings(100_000))["macro"]["mean"]
    wide = 2 * stats.norm.cdf(stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1))) - 1
    peer = stats.bootstrap((p**3,), np.mean, n_resamples=100_000, confidence_level=wide, method="BCa", rng=4)
    low, high = peer.confidence_interval
    assert figure["low"] == pytest.approx(low, abs=tolerance * (high - low))
    assert figure["high"] == pytest.approx(high, abs=tolerance * (high - low))


def test_acceleration_by_hand_and_from_blocks() -> None:
    values = np.array([0.0, 0.0, 0.0, 4.0])
    d = values - 1.0
    assert acceleration(values) == pytest.approx((d**3).sum() / (6 * (d**2).sum() ** 1.5))
    assert acceleration(np.ones(5)) == 0
    skewed = np.random.default_rng(0).exponential(size=100_000)
    blocks = skewed.reshape(200, -1).sum(1)
    assert acceleration(blocks) == pytest.approx(acceleration(skewed), abs=0.02)


def test_influence_and_a_jackknife_tell_the_same_acceleration() -> None:
    class Told(Mean):
        def influence(self, targets: Any, probabilities: Any, thresholds: Any = None) -> Any:
            cubes = probabilities[:, 0] ** 3
            return (cubes - cubes.mean()) / len(cubes)

    p = np.random.default_rng(0).beta(0.3, 2, 40)
    found = replace(predictions(np.zeros(40), np.arange(40) % 2), probabilities=np.stack([p, 1 - p], 1))
    told, cut = (score(found, {"m": m}, intervals=IntervalSettings(2000))["macro"]["m"] for m in (Told(), Mean()))
    assert (told["low"], told["high"]) == pytest.approx((cut["low"], cut["high"]))
    assert told["high"] - told["value"] > 1.2 * (told["value"] - told["low"])  # skewed as the cubes are


def test_a_metric_that_ignores_weights_has_no_interval() -> None:
    class Deaf(Mean):
        vectorised = False

        def __call__(
            self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None
        ) -> float:
            return float(probabilities[:, 0].mean())

    scores, truth = drawn()
    figure = score(predictions(scores, truth), {"deaf": Deaf()}, intervals=IntervalSettings(100))["macro"]["deaf"]
    assert figure["low"] is None
    assert "ignores weights" in figure["interval_reason"]


def test_a_figure_at_its_bound_in_every_resample_gets_one_side() -> None:
    settings_ = IntervalSettings(100)
    found = bca_interval(1.0, np.ones(100), 0.0, units(30, None), settings_, (0.0, 1.0), 12)
    assert (found["low"], found["high"]) == pytest.approx((0.05 ** (1 / 12), 1.0))


def test_a_figure_that_all_resamples_exceed_has_no_interval() -> None:
    """The share of samples that are doubled up, of which data without copies have none."""

    class Copies(Mean):
        def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> Any:
            weight = np.ones(len(targets)) if sample_weight is None else sample_weight
            return 0.1 + 0.5 * (weight > 1).mean(-1)

    scores, truth = drawn()
    figure = score(predictions(scores, truth), {"m": Copies()}, intervals=IntervalSettings(100))["macro"]["m"]
    assert figure["value"] == pytest.approx(0.1)
    assert figure["low"] is None
    assert figure["interval_reason"].startswith("100.0 % of the resamples lie above it")


def test_many_weightings_are_handed_over_at_once_only_where_asked() -> None:
    seen: dict[str, set[int]] = {"at once": set(), "one by one": set()}

    class Listening(Mean):
        def __init__(self, name: str, vectorised: bool) -> None:
            self.name, self.vectorised = name, vectorised

        def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> Any:
            if sample_weight is not None:
                seen[self.name].add(sample_weight.ndim)
            return super().__call__(targets, probabilities, sample_weight, thresholds)

    scores, truth = drawn()
    both = {name: Listening(name, name == "at once") for name in seen}
    found = score(predictions(scores, truth), both, intervals=IntervalSettings(100))["macro"]
    assert seen == {"at once": {2}, "one by one": {1}}
    assert found["at once"] == {k: pytest.approx(v) for k, v in found["one by one"].items()}


def test_an_interval_on_its_own_scale_stays_within_bounds() -> None:
    class Normal(Mean):
        interval = "normal"

        def influence(self, targets: Any, probabilities: Any, thresholds: Any = None) -> Any:
            cubes = probabilities[:, 0] ** 3
            return (cubes - cubes.mean()) / len(cubes)

    p = np.array([0.9, 0.05, 0.1, 0.02, 0.01])
    found = replace(predictions(np.zeros(5), np.array([1, 0, 1, 0, 0])), probabilities=np.stack([p, 1 - p], 1))
    figure = score(found, {"m": Normal()}, intervals=IntervalSettings())["macro"]["m"]
    half = stats.t.ppf(0.975, 4) * np.sqrt(((p**3 - (p**3).mean()) ** 2).sum()) / 5
    assert figure["low"] == 0 > (p**3).mean() - half
    assert figure["high"] == pytest.approx((p**3).mean() + half)


def test_weights_come_in_parts_that_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings_, of_six = IntervalSettings(50), units(6, None)
    whole = np.concatenate(list(weight_matrices(of_six, settings_, 1)))
    monkeypatch.setattr("medplug.evaluation.intervals._MEMORY", 8 * 6 * 7)
    parts = list(weight_matrices(of_six, settings_, 1))
    assert len(parts) == 8
    np.testing.assert_array_equal(np.concatenate(parts), whole)
