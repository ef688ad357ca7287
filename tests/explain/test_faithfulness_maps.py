"""Measures that need the maps only: size, place, masks, agreement."""

import jax
import numpy as np
import pytest
from scipy.stats import spearmanr

from medplug.errors import ContractError
from medplug.explain.faithfulness.agreement import spearman
from medplug.explain.faithfulness.localisation import mask_overlap, mask_share, pointing_game
from medplug.explain.faithfulness.places import border_share, centre_maps, corner_share, is_constant, random_maps
from medplug.explain.faithfulness.resizing import to_input_size


@pytest.mark.parametrize(
    ("raw", "shape"), [((7, 7), (24, 20)), ((3, 4, 5), (6, 9, 5)), ((1, 1), (4, 3)), ((8, 9), (4, 9))]
)
def test_resizing_is_linear_with_half_pixel_centres(rng, raw, shape):
    maps = rng.normal(size=(2, *raw)).astype(np.float32)
    ours = to_input_size(maps, shape)
    expected = jax.image.resize(maps, (2, *shape), "linear", antialias=False)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert ours.dtype == np.float32


def test_resizing_by_hand_and_its_refusal():
    np.testing.assert_allclose(to_input_size(np.array([[[0.0, 4.0]]]), (1, 4)), [[[0, 1, 3, 4]]])
    with pytest.raises(
        ContractError, match=r"maps for images of \[4, 4\] pixels must be \[N, \*, \*\], got \[1, 2, 2, 2\]"
    ):
        to_input_size(np.zeros((1, 2, 2, 2)), (4, 4))


def test_spearman_is_that_of_scipy_and_not_defined_for_constants(rng):
    a = rng.integers(0, 5, (4, 6, 7)).astype(float)
    b = a + rng.normal(0, 2, a.shape).round()
    expected = [spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), expected)
    np.testing.assert_allclose(spearman(a, np.exp(a)), 1)
    np.testing.assert_allclose(spearman(a, -a), -1)
    a[1], b[2, 0, 0] = 3, np.nan
    assert np.isnan(spearman(a, b)).tolist() == [False, True, True, False]
    with pytest.raises(ContractError, match="must be of one shape"):
        spearman(a, b[:, :3])


def masks_and_maps():
    masks = np.zeros((4, 5, 6), bool)
    masks[:, 1:3, 2:4] = True
    maps = np.zeros((4, 5, 6))
    maps[0, 1, 2], maps[0, 4, 5] = 3, 1  # hits, with a quarter outside
    maps[1, 3, 3] = 2  # misses by one pixel
    maps[2] = -1  # no evidence
    maps[2, 1, 2] = 0
    maps[3] = 1  # constant
    return masks, maps


def test_pointing_game_by_hand():
    masks, maps = masks_and_maps()
    assert pointing_game(maps, masks).tolist() == [True, False, False, False]
    assert pointing_game(maps, masks, tolerance=1).tolist() == [True, True, False, False]
    maps[1, 3, 3], maps[1, 3, 4] = 0, 2  # the next pixel by the diagonal
    assert pointing_game(maps, masks, tolerance=1).tolist() == [True, False, False, False]
    assert pointing_game(maps, masks, tolerance=1.5)[1]
    assert pointing_game(maps, np.ones_like(masks)).tolist() == [True, True, False, True]


def test_mask_share_by_hand():
    masks, maps = masks_and_maps()
    np.testing.assert_allclose(mask_share(maps, masks), [0.75, 0, np.nan, 4 / 30])
    maps[0, 0, 0] = -50  # evidence against does not count
    np.testing.assert_allclose(mask_share(maps, masks)[0], 0.75)


def test_mask_overlap_by_hand_and_by_chance():
    masks, _ = masks_and_maps()
    ranked = np.arange(30.0).reshape(1, 5, 6)
    np.testing.assert_allclose(mask_overlap(ranked, ranked >= 26), 1)
    np.testing.assert_allclose(mask_overlap(ranked, ranked < 4), 0)
    np.testing.assert_allclose(mask_overlap(ranked, (ranked >= 24) & (ranked < 28)), 2 / 6)
    many = np.broadcast_to(masks[:1], (2000, 5, 6))
    chance = mask_overlap(np.ones((2000, 5, 6)), many)
    both = np.array([0, 1, 2, 3, 4])  # hypergeometric: 4 of 30 places, 4 drawn
    weight = [14950, 10400, 1950, 104, 1]
    np.testing.assert_allclose(chance.mean(), np.average(both / (8 - both), weights=weight), atol=0.01)


def test_masks_that_do_not_fit_are_refused():
    masks, maps = masks_and_maps()
    with pytest.raises(ContractError, match=r"masks must be bool \[4, 5, 6\], got float64"):
        mask_share(maps, masks.astype(float))
    masks[2] = False
    for measure in (pointing_game, mask_share, mask_overlap):
        with pytest.raises(ContractError, match="mask 2 .*leave images without a mask out"):
            measure(maps, masks)


def test_border_and_corners_by_hand():
    maps = np.ones((3, 10, 20))
    maps[1] = -1
    maps[2, 1:-1, 2:-2] = 0
    border = border_share(maps, 0.1)
    assert border.even == pytest.approx(1 - 8 * 16 / 200)
    np.testing.assert_allclose(border.share, [border.even, np.nan, 1])
    corners = corner_share(maps, 0.2)
    assert corners.even == pytest.approx(4 * 2 * 4 / 200)
    # Of the strips of 1 and 2 pixels, a corner of 2 x 4 has 2 x 4 - 1 x 2 places.
    np.testing.assert_allclose(corners.share, [corners.even, np.nan, 4 * 6 / 72])
    volume = np.ones((1, 10, 10, 10))
    np.testing.assert_allclose(border_share(volume, 0.1).share, 1 - 0.8**3)
    np.testing.assert_allclose(corner_share(volume, 0.2).share, 8 * 0.2**3)
    assert border_share(np.ones((1, 4, 4)), 0.01).even == pytest.approx(12 / 16)  # at least a pixel


def test_constant_maps_are_known():
    maps = np.full((5, 6, 6), 0.1, np.float32)
    maps[1] = 0
    maps[2, 0, 0] *= 1 + 2e-7  # rounding
    maps[3, 0, 0] *= 1.001
    maps[4, :3] *= -1
    assert is_constant(maps).tolist() == [True, True, True, False, False]


def test_baselines():
    centre = centre_maps((8, 12), 3)
    assert centre.shape == (3, 8, 12)
    assert centre.dtype == np.float32
    np.testing.assert_allclose(centre, centre[:, ::-1, ::-1])
    assert centre[0, 3, 5] == centre[0].max()
    assert centre[0, 0, 0] == centre[0].min()
    wide = centre_maps((400,), 1)[0]  # a quarter of the edge away from the centre: exp(-1/2)
    np.testing.assert_allclose(wide[300] / wide[200], np.exp(-0.5), rtol=0.01)
    noise = random_maps((30, 40), 3, seed=2)
    np.testing.assert_array_equal(noise[:2], random_maps((30, 40), 2, seed=2))
    assert len({one.tobytes() for one in noise}) == 3
    assert abs(noise.mean()) < 0.05
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1]) < 0.05
