from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medplug.errors import ParameterError
from medplug.evaluation.intervals import IntervalSettings, bootstrap_weights, units

GROUPS = st.lists(st.sampled_from(["a", "b", "c", "d", ""]), min_size=1, max_size=30)


@settings(deadline=None)
@given(groups=GROUPS, seed=st.integers(0, 2**32))
def test_samples_of_a_group_share_a_weight_and_groups_sum_to_their_number(groups: list[str], seed: int) -> None:
    drawn = units(len(groups), np.array(groups))
    assert drawn.count == len({g for g in groups if g}) + groups.count("")
    for weights in bootstrap_weights(drawn, IntervalSettings(resamples=5, seed=seed)):
        assert weights.dtype == np.float64
        per_group = {(g or f"alone {i}"): w for i, (g, w) in enumerate(zip(groups, weights, strict=True))}
        assert all(weights[i] == per_group[g or f"alone {i}"] for i, g in enumerate(groups))
        assert sum(per_group.values()) == drawn.count
        assert (weights == np.round(weights)).all()
        assert (weights >= 0).all()


def test_weights_are_multinomial() -> None:
    drawn = units(5, None)
    weights = np.stack(list(bootstrap_weights(drawn, IntervalSettings(resamples=20_000))))
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.03)
    np.testing.assert_allclose(np.cov(weights.T), np.eye(5) - 1 / 5, atol=0.03)  # n p (δ - p) with n p = 1


def test_words_of_units() -> None:
    assert units(3, None).word == "samples"
    assert units(3, np.array(["a", "b", ""])).word == "samples"
    assert units(3, np.array(["a", "a", ""])).word == "groups"


@pytest.mark.parametrize("bad", [{"resamples": 0}, {"confidence": 1.0}, {"confidence": 0.0}, {"seed": -1}])
def test_impossible_settings(bad: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(bad))):
        IntervalSettings(**bad)  # type: ignore[arg-type]
