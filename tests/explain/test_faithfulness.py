"""Measures of faithfulness on a network that looks at a known ring and nowhere else."""

import numpy as np
import pytest
from faithfulness_network import known

from medplug.errors import ContractError
from medplug.explain.faithfulness.correlation import faithfulness_correlation
from medplug.explain.faithfulness.curves import deletion, insertion
from medplug.explain.faithfulness.infidelity import infidelity
from medplug.explain.faithfulness.inputs import generators, highest_first
from medplug.explain.faithfulness.road import road
from medplug.explain.faithfulness.scoring import score_variants, scorer

MEASURES = {  # the function, higher is better, and by how much two neighbours in rank have to differ
    "deletion": (lambda *given: deletion(*given).auc, False, (0.04, 0.2)),
    "insertion": (lambda *given: insertion(*given).auc, True, (0.05, 0.15)),
    "road": (road, True, (0.03, 0.2)),
    "faithfulness_correlation": (faithfulness_correlation, True, (0.2, 0.3)),
    "infidelity": (infidelity, False, (0, 0.003)),
}


@pytest.fixture(scope="module")
def case():
    return known()


@pytest.fixture(scope="module")
def score(case):
    return scorer(case.network, "multiclass")


@pytest.mark.parametrize("name", MEASURES)
def test_the_mask_ranks_over_grad_cam_over_noise(case, score, name):
    measure, high, margins = MEASURES[name]
    sign = 1 if high else -1
    best, middle, worst = (
        sign * measure(score, case.images, maps, case.classes) for maps in (case.mask, case.coarse, case.random)
    )
    assert best.shape == (len(case.images),)
    assert best.dtype == np.float64
    assert best.mean() - middle.mean() > margins[0]
    assert middle.mean() - worst.mean() > margins[1]
    if name != "infidelity":  # its ranks of single images vary with the patches
        assert (best > middle).all()
    assert (middle > worst).all()


@pytest.mark.parametrize("name", ["deletion", "insertion", "road"])
def test_a_constant_map_is_like_a_random_one(case, score, name):
    measure = MEASURES[name][0]
    constant = measure(score, case.images, np.zeros_like(case.mask), case.classes)
    random = measure(score, case.images, case.random, case.classes)
    np.testing.assert_allclose(constant.mean(), random.mean(), atol=0.03)
    assert (constant != random).all()


@pytest.mark.parametrize("name", MEASURES)
def test_an_image_is_measured_by_itself_and_by_its_seed(case, score, name):
    measure = MEASURES[name][0]
    images, maps, classes = case.images[:3], case.coarse[:3].copy(), case.classes[:3]
    maps[0] = 1  # all ties
    if name == "faithfulness_correlation":
        maps[0, :4] = 2  # else it is not defined
    given = {"seed": [7, 8, 9]} if name not in {"deletion", "insertion"} else {"steps": 5, "seed": [7, 8, 9]}
    function = {"deletion": deletion, "insertion": insertion}.get(name, measure)

    def figures(rows, **other):
        found = function(
            score,
            images[rows],
            maps[rows],
            classes[rows],
            **{**given, "seed": [given["seed"][r] for r in rows], **other},
        )
        return found.auc if isinstance(found, tuple) else found

    together, alone = figures([0, 1, 2]), figures([2, 0])
    np.testing.assert_allclose(together[[2, 0]], alone, rtol=1e-5)
    assert figures([0], seed=[70])[0] != pytest.approx(together[0], rel=1e-6)


def test_scores_are_the_networks_whatever_their_number(case, score):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(11, 48, 48, 2)).astype(np.float32)
    classes = rng.integers(0, 2, 11)
    logits = np.asarray(case.network(images), np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(score(images, classes), softmax[np.arange(11), classes], rtol=1e-5)
    assert score(images[:0], classes[:0]).shape == (0,)
    log_odds = scorer(case.network, "multiclass", "log_odds")(images, classes)
    np.testing.assert_allclose(log_odds, (2 * (classes == 0) - 1) * (logits[:, 0] - logits[:, 1]), rtol=1e-4, atol=1e-5)
    sigmoid = scorer(case.network, "multilabel")(images, classes)
    np.testing.assert_allclose(sigmoid, (1 / (1 + np.exp(-logits)))[np.arange(11), classes], rtol=1e-5)


def test_variants_go_together_and_come_back_by_image(monkeypatch):
    monkeypatch.setattr("medplug.explain.faithfulness.scoring._HELD", 2 * 3 * 4 * 4)  # two images' variants
    calls = []

    def score(images, classes):
        calls.append(len(images))
        return images[:, 0, 0, 0] + 100 * classes

    variants = (np.full((3, 2, 2, 1), n) + np.arange(3).reshape(3, 1, 1, 1) / 10 for n in range(5))
    found = score_variants(score, variants, np.array([0, 1, 0, 1, 2]))
    assert calls == [6, 6, 3]
    np.testing.assert_allclose(found[:, 0], [0, 101, 2, 103, 204])
    np.testing.assert_allclose(found[:, 2] - found[:, 0], 0.2, rtol=1e-4)


def test_what_does_not_fit_is_refused(case):
    def score(images, classes):
        return np.full(len(images), np.nan)

    images, maps, classes = case.images, case.mask, case.classes
    with pytest.raises(ContractError, match=r"\d+ of \d+ scores of changed images are not finite"):
        deletion(score, images, maps, classes)
    with pytest.raises(
        ContractError, match=r"maps of images \[6, 48, 48, 2\] must be \[6, 48, 48\], got \[6, 24, 48\]"
    ):
        road(score, images, maps[:, ::2], classes)
    with pytest.raises(ContractError, match="one class for each of 6 images"):
        infidelity(score, images, maps, classes[:4])
    with pytest.raises(ContractError, match="1 of 6 maps hold NaN"):
        faithfulness_correlation(score, images, np.where(np.arange(6)[:, None, None] == 3, np.nan, maps), classes)
    with pytest.raises(ContractError, match="one seed for each of 6 images, got 2"):
        deletion(score, images, maps, classes, seed=[1, 2])


def test_equal_values_are_ordered_by_chance_and_others_by_size():
    values = np.array([[3.0, 1.0], [3.0, 2.0]])
    orders = [tuple(highest_first(values, draws)) for draws in generators(0, 40)]
    assert set(orders) == {(0, 2, 3, 1), (2, 0, 3, 1)}
