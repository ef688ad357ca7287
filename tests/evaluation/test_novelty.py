"""Inputs unlike the training images: distances against scikit-learn, rates by simulation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.neighbors import NearestNeighbors

from medplug.errors import ParameterError
from medplug.evaluation.novelty import REFERENCE_LIMIT, NoveltyFit, fit_novelty, novelty_analysis, tolerance_factor
from medplug.values import Predictions


def images(rng: np.random.Generator, n: int, *, far: bool = False, d: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Features around one direction (far: another), lengths that mean nothing, and energies."""
    centre = np.zeros(d)
    centre[8 if far else 0] = 10 if far else 4
    features = (centre + rng.normal(size=(n, d))) * rng.uniform(0.5, 3, (n, 1))
    return features.astype(np.float32), rng.normal(-2 if far else -6, 1, n)


def fitted(seed: int = 0, n: int = 400, **options: Any) -> NoveltyFit:
    rng = np.random.default_rng(seed)
    return fit_novelty(images(rng, 600)[0], *images(rng, n), **options)


def unlabelled(n: int, groups: Any = None) -> Predictions:
    return Predictions(tuple(f"s{i}" for i in range(n)), np.full((n, 2), 0.5), None, ("a", "b"), "multiclass", groups)


@pytest.mark.parametrize("k", [1, 5])
def test_distances_are_those_of_scikit_learn(k: int) -> None:
    rng = np.random.default_rng(0)
    train, new = images(rng, 300)[0], images(rng, 1500)[0]  # more than one block of rows
    fit = fit_novelty(train, *images(rng, 50), k=k)
    unit = lambda x: x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)  # noqa: E731
    expected = NearestNeighbors(n_neighbors=k).fit(unit(train)).kneighbors(unit(new))[0][:, -1]
    assert fit.score(new, np.zeros(1500))[0] == pytest.approx(expected, abs=2e-4)


def test_a_distance_worked_by_hand() -> None:
    fit = NoveltyFit(
        np.array([[1, 0], [0, 1]], np.float32),
        1,
        0.99,
        {"energy": 0.0, "neighbours": 0.5},
        {"energy": -1.0, "neighbours": 0.1},
    )
    distances, energy, flagged = fit.score(
        np.array([[5, 0], [3, 4], [-2, 0], [0, 0]]), np.array([-1.0, 0.1, -1.0, -1.0])
    )
    assert distances == pytest.approx([0, np.sqrt(0.4), np.sqrt(2), 1], abs=1e-3)  # 2 - 2 * 0.8
    assert energy.tolist() == [-1, 0.1, -1, -1]
    assert flagged.tolist() == [False, True, True, True]


def test_few_of_the_same_kind_and_all_of_another_are_flagged() -> None:
    same, far = [], []
    for seed in range(20):
        rng, fit = np.random.default_rng(1000 + seed), fitted(seed)
        for rows, share in ((images(rng, 500), same), (images(rng, 100, far=True), far)):
            share.append(fit.score(*rows)[2].mean())
    assert fit.expected == {"low": 0, "high": pytest.approx(8 / 401)}
    assert np.min(far) == 1
    assert 0.002 < np.mean(same) < fit.expected["high"]


def test_few_validation_images_do_not_set_limits_that_are_too_tight() -> None:
    """Beyond the largest of 40 scores lie over 7 % in one of twenty parts: the limit is wider where it must be."""
    rng, beyond, largest = np.random.default_rng(5), [], []
    train = images(rng, 300)[0]
    for _ in range(150):
        features, energy = images(rng, 40)
        fit = fit_novelty(train, features, energy)
        beyond.append(norm.sf(fit.limits["energy"], -6, 1))
        largest.append(norm.sf(energy.max(), -6, 1))
    assert np.mean(np.array(beyond) <= 0.01) >= 0.88  # nominal 0.9; simulated 0.93
    assert np.quantile(largest, 0.9) > 0.04
    assert np.quantile(beyond, 0.9) < 0.012


def test_tolerance_factors_are_those_of_the_tables() -> None:
    """As printed by Hahn and Meeker, Statistical Intervals, 1991."""
    expected = {(10, 0.9, 0.95): 2.355, (10, 0.99, 0.95): 3.981, (20, 0.95, 0.95): 2.396, (50, 0.99, 0.95): 2.862}
    for arguments, factor in expected.items():
        assert tolerance_factor(*arguments) == pytest.approx(factor, abs=6e-4)


def test_a_limit_by_hand() -> None:
    """Of 0 to 200 the median is 100 and what lies above it spreads by the root of the mean square of 1 to 100."""
    values = np.arange(201.0)
    spread = np.sqrt(np.mean(np.arange(1, 101.0) ** 2))
    found = fit_novelty(images(np.random.default_rng(0), 50)[0], images(np.random.default_rng(1), 201)[0], values)
    assert found.limits["energy"] == pytest.approx(100 + tolerance_factor(100, 0.99, 0.9) * spread)
    steep = np.r_[np.zeros(150), 1, 2, 100 * np.ones(49)]  # the rank lies higher than the bound of such a spread
    tight = fit_novelty(images(np.random.default_rng(0), 50)[0], images(np.random.default_rng(1), 201)[0], steep)
    assert tight.limits["energy"] >= 100


def test_a_group_counts_as_one_case() -> None:
    """Each validation image thrice in a group of its own: the limits of the images alone."""
    rng = np.random.default_rng(0)
    train, (features, energy) = images(rng, 100)[0], images(rng, 50)
    one = fit_novelty(train, features, energy)
    names = np.tile(np.arange(50).astype(str), 3)
    three = fit_novelty(train, np.tile(features, (3, 1)), np.tile(energy, 3), groups=names)
    assert three.limits == pytest.approx(one.limits)
    assert three.expected == one.expected
    assert three.fitted_on == {"part": "validation", "n": 150, "unit": "groups", "units": 50}
    loose = fit_novelty(
        train, np.tile(features, (3, 1)), np.tile(energy, 3), groups=np.repeat([f"g{i}" for i in range(5)], 30)
    )
    assert loose.limits["neighbours"] > one.limits["neighbours"]  # five patients tell less than fifty


def test_either_score_is_enough() -> None:
    rng, fit = np.random.default_rng(3), fitted()
    features, energy = images(rng, 50)
    assert fit.score(features, np.full(50, 0.0))[2].all()
    assert fit.score(images(rng, 50, far=True)[0], energy)[2].all()


def test_what_is_no_number_is_flagged() -> None:
    fit = fitted()
    features = np.full((2, 16), np.nan, np.float32)
    assert fit.score(features, np.array([-9.0, -9.0]))[2].all()
    assert fit.score(images(np.random.default_rng(0), 1)[0], np.array([np.nan]))[2].all()


def test_limits_are_never_below_ranks_of_the_validation_part() -> None:
    rng = np.random.default_rng(0)
    train, features = images(rng, 100)[0], images(rng, 200)[0]
    energy = np.r_[np.zeros(190), np.arange(10.0)]  # a tail that no normal distribution has
    assert fit_novelty(train, features, energy).limits["energy"] >= 8  # the 199th of 200: ceil(201 * 0.99)
    few = fit_novelty(train, features[:30], np.arange(30.0))
    assert few.limits["energy"] > 29
    assert few.expected["high"] == pytest.approx(2 / 31)  # beyond the largest of 30 lies 1 in 31
    assert few.medians["energy"] == 14.5
    alike = fit_novelty(train, features[:30], np.full(30, -3.0))
    assert alike.limits["energy"] == -3


def test_limits_of_an_earlier_version_are_read() -> None:
    fit = fitted()
    values = {key: value for key, value in fit.to_json().items() if key != "confidence"}
    assert NoveltyFit.from_arrays(values, fit.to_arrays()).confidence is None


def test_the_reference_is_a_seeded_sample() -> None:
    rng = np.random.default_rng(0)
    train, validation = images(rng, REFERENCE_LIMIT + 500, d=10)[0], images(rng, 30, d=10)
    one, same, other = (fit_novelty(train, *validation, seed=s) for s in (1, 1, 2))
    assert one.reference.shape == (REFERENCE_LIMIT, 10)
    assert one.reference.dtype == np.float32
    assert np.array_equal(one.reference, same.reference)
    assert not np.array_equal(one.reference, other.reference)
    assert np.linalg.norm(one.reference, axis=1) == pytest.approx(1, abs=1e-5)
    assert (
        len(fit_novelty(train[:7], *validation, k=10).reference)
        == fit_novelty(train[:7], *validation, k=10).neighbours
        == 7
    )


@pytest.mark.parametrize("n", [0, 1, 19])
def test_too_few_validation_images(n: int) -> None:
    fit = fitted(n=n)
    assert "at least 20 validation images" in str(fit.skipped)
    with pytest.raises(ValueError, match="nothing can be flagged"):
        fit.score(np.ones((1, 16)), np.ones(1))
    assert novelty_analysis(unlabelled(3), fit, np.ones((3, 16)), np.ones(3))["test"] is None
    assert fitted(n=20).skipped is None
    rng = np.random.default_rng(0)
    assert "no features of training images" in str(fit_novelty(np.zeros((0, 16)), *images(rng, 30)).skipped)


@pytest.mark.parametrize("n", [400, 5])
def test_json_and_arrays_keep_every_bit(n: int) -> None:
    fit = fitted(n=n)
    again = NoveltyFit.from_arrays(json.loads(json.dumps(fit.to_json(), allow_nan=False)), fit.to_arrays())
    assert again.to_json() == fit.to_json()
    assert np.array_equal(again.reference, fit.reference)
    if fit.skipped is None:
        rows = images(np.random.default_rng(9), 40)
        for a, b in zip(fit.score(*rows), again.score(*rows), strict=True):
            assert np.array_equal(a, b)


def test_parts_that_do_not_belong_together_are_refused() -> None:
    fit = fitted()
    values, arrays = fit.to_json(), fit.to_arrays()
    with pytest.raises(ValueError, match="should hold 600 images"):
        NoveltyFit.from_arrays(values, {"reference": arrays["reference"][:5]})
    with pytest.raises(ValueError, match="limits"):
        NoveltyFit.from_arrays({**values, "limits": {"energy": 1.0}}, arrays)
    with pytest.raises(KeyError):
        NoveltyFit.from_arrays(values, {})
    with pytest.raises(ValueError, match=r"\[N, 16\]"):
        fit.score(np.ones((2, 4)), np.ones(2))
    with pytest.raises(ValueError, match="one per row"):
        fit.score(np.ones((2, 16)), np.ones(3))
    with pytest.raises(ParameterError):
        fitted(quantile=1.0)


def test_analysis_names_the_most_unlike_first() -> None:
    rng, fit = np.random.default_rng(3), fitted()
    features, energy = images(rng, 30)
    features[7], energy[7] = -features[7], 20.0
    features[3] = images(rng, 1, far=True)[0]
    found = novelty_analysis(unlabelled(30), fit, features, energy)
    test = found["test"]
    assert test["samples"][:2] == ["s7", "s3"]
    assert test["flagged"] == len(test["samples"]) == fit.score(features, energy)[2].sum()
    assert (test["n"], test["share"]["value"]) == (30, test["flagged"] / 30)
    assert found["limits"] == fit.limits
    json.dumps(found, allow_nan=False)
    far = novelty_analysis(unlabelled(50, np.array(["p"] * 50)), fit, *images(rng, 50, far=True))["test"]
    assert (far["flagged"], len(far["samples"])) == (50, 20)
    assert novelty_analysis(unlabelled(30), fit, None, None)["test"] is None
    assert novelty_analysis(unlabelled(0), fit, features[:0], energy[:0])["test"] is None
    assert fit.score(features[:0], energy[:0])[2].shape == (0,)
