"""Figures of the measures against NumPy loops, hand-worked cases, pytorch-grad-cam and captum."""

from pathlib import Path

import numpy as np
import pytest
import record_faithfulness
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr

from medplug.explain.faithfulness import correlation, curves, road
from medplug.explain.faithfulness import infidelity as infidelities
from medplug.explain.faithfulness.correlation import cell_numbers, faithfulness_correlation
from medplug.explain.faithfulness.curves import blurred, deletion, insertion
from medplug.explain.faithfulness.imputation import imputed
from medplug.explain.faithfulness.infidelity import infidelity, max_sensitivity
from medplug.explain.faithfulness.inputs import generators


@pytest.fixture(scope="module")
def given():
    return record_faithfulness.inputs()


@pytest.fixture(scope="module")
def peers():
    with np.load(Path(__file__).with_name("faithfulness_peers.npz")) as found:
        return dict(found)


@pytest.fixture(scope="module")
def score(given):
    return lambda images, classes: record_faithfulness.score(images, given["weights"])


@pytest.fixture(scope="module")
def classes():
    return np.zeros(2, np.int32)


def pixel_sum(images, classes):
    return images.sum(tuple(range(1, images.ndim)))


def test_curves_by_hand(monkeypatch):
    monkeypatch.setattr(curves, "blurred", lambda images, blur: np.zeros_like(images))
    images = np.array([8.0, 4.0, 2.0, 1.0], np.float32).reshape(1, 2, 2, 1)
    maps = np.array([4.0, -1.0, 3.0, 2.0]).reshape(1, 2, 2)
    down = deletion(pixel_sum, images, maps, np.zeros(1), steps=4)
    np.testing.assert_allclose(down.values, [[15, 7, 5, 4, 0]])
    np.testing.assert_allclose(down.auc, [(15 / 2 + 7 + 5 + 4) / 4])
    up = insertion(pixel_sum, images, maps, np.zeros(1), steps=2)
    np.testing.assert_allclose(up.values, [[0, 10, 15]])
    np.testing.assert_allclose(up.auc, [(10 + 15 / 2) / 2])


def test_the_curves_start_and_end_at_the_image_and_its_blur(given, score, classes):
    images, maps = given["images"], given["maps"]
    blur = np.stack([gaussian_filter(image, (2, 2.4, 0), mode="nearest") for image in images])
    np.testing.assert_allclose(blurred(images), blur, atol=1e-6)
    down, up = deletion(score, images, maps, classes), insertion(score, images, maps, classes)
    np.testing.assert_allclose(down.values[:, [0, -1]], np.stack([score(images, 0), score(blur, 0)], 1), rtol=1e-4)
    np.testing.assert_allclose(up.values[:, [-1, 0]], np.stack([score(images, 0), score(blur, 0)], 1), rtol=1e-4)
    # Whatever was inserted was not deleted.
    mirrored = deletion(score, images, -maps, classes)
    np.testing.assert_allclose(mirrored.values[:, ::-1], up.values, rtol=1e-4)


def test_road_fills_and_scores_as_pytorch_grad_cam_does(given, peers, score, classes, monkeypatch):
    filled = imputed(given["images"][0], given["missing"], tolerance=1e-7)
    np.testing.assert_allclose(filled, peers["filled"], atol=2e-5)
    monkeypatch.setattr(road, "NOISE", 0)  # as in the recording
    ours = road.road(score, given["images"], given["maps"], classes)
    np.testing.assert_allclose(ours, peers["road"], atol=2e-3)


@pytest.mark.parametrize("shape", [(20, 24, 3), (5, 18, 6, 1)])
def test_every_filled_place_is_the_mean_of_its_neighbours(shape):
    rng = np.random.default_rng(1)
    image, shape = rng.normal(size=shape).astype(np.float32), shape[:-1]
    rough = gaussian_filter(rng.normal(size=shape), 3)
    missing = rough > np.quantile(rough, 0.4)
    filled = imputed(image, missing[None], tolerance=1e-7)[0, ..., 0]
    np.testing.assert_array_equal(filled[~missing], image[..., 0][~missing])
    whole = np.pad(filled, 1, constant_values=np.nan)
    expected = []
    for place in np.argwhere(missing):
        total = weight = 0.0
        for offset in np.ndindex(*(3,) * len(shape)):
            moved = np.abs(np.array(offset) - 1).sum()
            value = whole[tuple(place + offset)]
            if moved and np.isfinite(value):
                total, weight = total + value / 2**moved, weight + 1 / 2**moved
        expected.append(total / weight)
    np.testing.assert_allclose(filled[missing], expected, atol=1e-5)
    usual = imputed(image, missing[None])[0, ..., 0]
    np.testing.assert_allclose(usual, filled, atol=0.05)
    assert np.abs(usual - filled).mean() < road.NOISE


def test_road_removes_as_many_at_either_end():
    removed = road._removed(np.array([2, 0, 3, 1]), np.array([1, 3]), (2, 2)).astype(int)
    assert removed.reshape(4, 4).tolist() == [[0, 0, 1, 0], [1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 0, 1]]


def test_correlation_against_loops(given, score, classes):
    images, maps = given["images"], given["maps"]
    ours = faithfulness_correlation(score, images, maps, classes, subsets=12, share=0.25, seed=4)
    cells = cell_numbers((20, 24))
    assert cells.max() == 14 * 14 - 1
    assert len(np.unique(cells)) == 14 * 14
    expected = []
    for n, draws in enumerate(generators(4, 2)):
        blur = gaussian_filter(images[n], (2, 2.4, 0), mode="nearest")
        sums, drops = [], []
        for chosen in correlation._subsets(draws, 196, 12, 0.25):
            assert chosen.sum() == 49
            inside = np.isin(cells, np.flatnonzero(chosen))
            changed = images[n].copy()
            changed[inside] = blur[inside]
            sums.append(maps[n][inside].sum())
            drops.append(score(images[n : n + 1], 0)[0] - score(changed[None], 0)[0])
        expected.append(pearsonr(sums, drops).statistic)
    np.testing.assert_allclose(ours, expected, rtol=1e-3)


def test_the_map_of_an_additive_score_foretells_it_wholly():
    rng = np.random.default_rng(2)
    images = rng.normal(size=(3, 28, 28, 2)).astype(np.float32)
    maps = (images - blurred(images)).sum(-1)
    kept = maps.copy()
    classes = np.zeros(3, np.int32)
    np.testing.assert_allclose(faithfulness_correlation(pixel_sum, images, maps, classes), 1, atol=1e-6)
    np.testing.assert_allclose(faithfulness_correlation(pixel_sum, images, -maps, classes), -1, atol=1e-6)
    worst = infidelity(pixel_sum, images, np.zeros_like(maps), classes)
    np.testing.assert_allclose(infidelity(pixel_sum, images, 1000 * maps, classes), 0, atol=1e-6 * worst.min())
    np.testing.assert_allclose(infidelity(pixel_sum, images, -maps, classes), 0, atol=1e-6 * worst.min())
    noise = infidelity(pixel_sum, images, rng.normal(size=maps.shape), classes)
    assert ((noise < worst) & (noise > 0.2 * worst)).all()
    np.testing.assert_array_equal(maps, kept)


def test_correlation_is_not_defined_where_nothing_varies(given, score, classes):
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 3)).astype(np.float32)
    level = np.full((2, 28, 28), 0.1)
    assert np.isnan(faithfulness_correlation(pixel_sum, images, level, classes)).all()
    assert np.isnan(faithfulness_correlation(lambda x, c: np.ones(len(x)), images, images[..., 0], classes)).all()


def test_infidelity_is_that_of_captum(given, peers, score, classes):
    instead = np.zeros_like(given["images"])
    ours = infidelities._infidelity(score, given["images"], given["maps"], classes, given["patches"], instead)
    np.testing.assert_allclose(ours, peers["infidelity"], rtol=1e-4)


def test_patches_lie_inside_and_have_their_sizes():
    patches = infidelities._patches(np.random.default_rng(0), (20, 40, 10), 200)
    rows, columns, slices = (patches.any(axes).sum(1) for axes in ((2, 3), (1, 3), (1, 2)))
    assert (patches.sum((1, 2, 3)) == rows * columns * slices).all()
    assert {rows.min(), rows.max()} == {2, 8}
    assert {slices.min(), slices.max()} == {1, 4}
    reached = patches.any(0)
    assert reached[0].any()
    assert reached[-1].any()
    assert reached[:, 0].any()
    assert reached[:, -1].any()
    assert reached[..., -1].any()


def explain(weights):
    return lambda images, classes: (images**2 * weights).sum(-1) + images[..., 0]


def test_sensitivity_is_that_of_captum(given, peers, classes):
    images, function = given["images"], explain(given["weights"])
    ours = infidelities._max_sensitivity(function, images, function(images, classes), classes, given["noise"])
    np.testing.assert_allclose(ours, peers["sensitivity"], rtol=1e-4)


def test_sensitivity_grows_with_the_radius_and_is_not_defined_for_an_empty_map(given, classes):
    images, function = given["images"], explain(given["weights"])
    maps = function(images, classes)
    small, large = (max_sensitivity(function, images, maps, classes, radius=r, samples=3) for r in (0.01, 0.02))
    np.testing.assert_allclose(large, 2 * small, rtol=0.1)
    assert (small > 0).all()
    fixed = max_sensitivity(lambda x, c: np.stack([maps[0], 0 * maps[0]]), images, maps * [[[1]], [[0]]], classes)
    np.testing.assert_array_equal(fixed, [0, np.nan])


def test_volumes_are_measured_too():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 5, 18, 6, 1)).astype(np.float32)
    inside = np.zeros((2, 5, 18, 6), bool)
    inside[:, 1:4, 3:12, 2:5] = True
    noise, classes = rng.normal(size=inside.shape), np.zeros(2, np.int32)

    def contrast(volumes, classes):
        return (volumes[:, 1:4, 3:12, 2:5] ** 2).mean((1, 2, 3, 4))

    def figures(maps):
        given = contrast, images, maps, classes
        curves_down, curves_up = deletion(*given, steps=5), insertion(*given, steps=5)
        rest = road.road(*given, shares=(0.2, 0.4)), faithfulness_correlation(*given), -infidelity(*given)
        return np.stack([-curves_down.auc, curves_up.auc, *rest])

    assert (figures(inside.astype(float)) > figures(noise)).all()
