"""Near-duplicates: all of them are found, none is missed, and images that merely look alike are not joined."""

import numpy as np
import pytest
from checks_helpers import PLENTY, found, index_of, look, noise, one, picture, pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from medplug.data.checks import near
from medplug.data.facts import thumbnail


def smooth(count, seed=0, sigma=3.0):
    """Thumbnails that look like pictures: few of their waves are short."""
    fields = np.random.default_rng(seed).normal(size=(count, 32, 32))
    fields = np.stack([gaussian_filter(f, sigma) for f in fields])
    low, high = fields.min((1, 2), keepdims=True), fields.max((1, 2), keepdims=True)
    return (20 + 215 * (fields - low) / (high - low)).astype(np.uint8)


def orientations(image):
    """The eight symmetries by NumPy's own names, in the order of near.SYMMETRIES."""
    return [
        image, np.fliplr(image), np.flipud(image), np.rot90(image, 2),
        image.T, np.fliplr(image.T), np.flipud(image.T), np.rot90(image.T, 2),
    ]  # fmt: skip


def brute_force(thumbs, limit):
    """Every pair under every symmetry, by NumPy's own correlation."""
    pairs = {}
    for a in range(len(thumbs)):
        for b in range(a + 1, len(thumbs)):
            best = max(np.corrcoef(thumbs[a].ravel(), turned.ravel())[0, 1] for turned in orientations(thumbs[b]))
            if best > limit:
                pairs[a, b] = best
    return pairs


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.9, 0.97, 0.995]), st.floats(0.8, 8.0))
def test_the_search_finds_what_comparing_all_pairs_finds(seed, limit, sigma):
    generator = np.random.default_rng(seed)
    thumbs = smooth(14, seed, sigma)
    for row in range(7, 14):  # disturbed and turned copies, near the limit
        copy = orientations(thumbs[row - 7])[generator.integers(8)]
        thumbs[row] = np.clip(copy + generator.normal(0, generator.uniform(0, 25), (32, 32)), 0, 255)
    found_ = near.near_pairs(thumbs, limit)
    expected = brute_force(thumbs, limit)
    assert set(zip(found_.first.tolist(), found_.second.tolist(), strict=True)) == set(expected)
    best = [expected[pair] for pair in zip(found_.first.tolist(), found_.second.tolist(), strict=True)]
    plain = found_.symmetry == 0  # a pair that passes as it is, is not turned to do better
    np.testing.assert_allclose(found_.correlation[~plain], np.array(best)[~plain], atol=1e-9)


@pytest.mark.parametrize("number", range(8))
def test_each_symmetry_is_recognised(number):
    image = smooth(1, seed=3)[0]
    others = smooth(4, seed=4)
    thumbs = np.stack([image, *others, orientations(image)[number]])
    pairs = near.near_pairs(thumbs, 0.995)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(0, 5)]
    turned = near._transformed(thumbs[5:6], int(pairs.symmetry[0]))[0]
    assert (turned == image).all()
    assert pairs.correlation[0] == pytest.approx(1)


def test_the_names_of_symmetries_say_what_must_be_done_to_the_second_image():
    image = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32)
    by_name = {
        "": image, "mirrored": image[:, ::-1], "upside down": image[::-1], "turned by 180 degrees": image[::-1, ::-1],
        "transposed": image.T, "transposed and turned by 180 degrees": image.T[::-1, ::-1],
    }  # fmt: skip
    for name, expected in by_name.items():
        assert (near._transformed(image[None], near.SYMMETRIES.index(name))[0] == expected).all(), name
    quarter = {near.SYMMETRIES.index(f"turned by {angle} degrees") for angle in (90, 270)}
    turns = [near._transformed(image[None], number)[0] for number in sorted(quarter)]
    assert all(any((turn == np.rot90(image, k)).all() for k in (1, 3)) for turn in turns)


def test_flat_images_are_in_no_pair_and_brightness_does_not_matter():
    image = smooth(1)[0].astype(float)
    flat = np.full((32, 32), 7, np.uint8)
    thumbs = np.stack([image, image * 0.5 + 60, flat, flat + 1, smooth(1, seed=9)[0]]).astype(np.uint8)
    pairs = near.near_pairs(thumbs, 0.995)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(0, 1)]


def test_order_changes_nothing():
    thumbs = np.concatenate([smooth(30), smooth(10)[:, ::-1]])
    order = np.random.default_rng(1).permutation(40)
    first, second = near.near_pairs(thumbs, 0.995), near.near_pairs(thumbs[order], 0.995)
    back = {frozenset((order[a], order[b])) for a, b in zip(second.first, second.second, strict=True)}
    assert back == {frozenset((a, b)) for a, b in zip(first.first, first.second, strict=True)}
    assert len(back) == 10


def test_an_outline_that_all_share_makes_no_copies():
    """Discs on black, as fundi: they correlate by their outline; only a true copy agrees inside."""
    y, x = np.mgrid[:32, :32] - 15.5
    disc = (x**2 + y**2 < 15**2)[None]
    inside = smooth(6, seed=5, sigma=4.0) / 255.0
    thumbs = np.where(disc, 170 + 30 * (inside - 0.5), 0)
    thumbs = np.concatenate([thumbs, 0.98 * thumbs[:1]])
    thumbs = thumbs.astype(np.uint8)
    pairs = near.near_pairs(thumbs, 0.99)
    assert len(pairs) > 10
    true = pairs.take(pairs.believed())
    assert list(zip(true.first, true.second, strict=True)) == [(0, 6)]
    _, _, report = look(index_of([0, 1] * 3 + [0]), pictures(7), thumbs, near_correlation=0.99)
    assert one(report, "near").details["pairs"] == 1
    assert one(report, "near_outlines").details["pairs"] == len(pairs) - 1
    assert one(report, "near_outlines").level == "note"
    assert not found(report, "near_classes")
    assert (report.alike == [0, 1, 2, 3, 4, 5, 0]).all()


def test_thumbnails_are_means_of_areas():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 1)).astype(np.uint8)
    means = image[..., 0].reshape(32, 2, 32, 3).mean((1, 3))
    assert np.abs(thumbnail(image) - means).max() <= 1


# ---------------------------------------------------------------- clusters


def test_clusters_join_chains():
    labels = near.clusters(6, np.array([0, 1, 4]), np.array([1, 2, 5]))
    assert labels.tolist() == [0, 0, 0, 3, 4, 4]
    assert labels.dtype == np.int64


def edges(*pairs):
    return tuple(np.array(side) for side in zip(*pairs, strict=True))


def test_a_long_chain_swells_and_a_dense_cluster_does_not():
    chain = [(i, i + 1) for i in range(11)]  # 12 images, each like the next one only
    dense = [(a, b) for a in range(20, 32) for b in range(a + 1, 32)]
    first, second = edges(*chain, *dense)
    labels = near.clusters(200, first, second)
    assert near.swollen(labels, first).tolist() == [0]
    labels = near.clusters(100, first, second)  # 12 of 100 images are more than a tenth
    assert near.swollen(labels, first).tolist() == [0, 20]


def test_a_short_chain_is_believed():
    first, second = edges(*[(i, i + 1) for i in range(9)])
    assert len(near.swollen(near.clusters(10, first, second), first)) == 0


# ---------------------------------------------------------------- what becomes of them


def copies_of(thumbs, *pairs):
    """Slightly disturbed copies: second gets the picture of first."""
    thumbs = thumbs.copy()
    for first, second in pairs:
        thumbs[second] = np.clip(thumbs[first] + np.random.default_rng(second).normal(0, 1, (32, 32)), 0, 255)
    return thumbs


def test_near_duplicates_share_a_number_unless_told_otherwise():
    thumbs = copies_of(smooth(24), (0, 1), (0, 2), (12, 20))
    _, _, report = look(index_of(PLENTY), pictures(24), thumbs)
    assert (report.alike == [0, 0, 0, *range(3, 20), 12, *range(21, 24)]).all()
    assert (report.identical == np.arange(24)).all()
    assert one(report, "near").level == "note"
    assert one(report, "near").details["clusters"] == [["a/0.png", "a/1.png", "a/2.png"], ["b/12.png", "b/20.png"]]
    for near_, pairs in (("report", 1), ("ignore", 0)):
        _, _, report = look(index_of(PLENTY), pictures(24), thumbs, near=near_)
        assert (report.alike == np.arange(24)).all()
        assert len(found(report, "near")) == pairs


def test_near_duplicates_across_classes_and_parts_are_warned_about():
    thumbs = copies_of(smooth(24), (0, 13), (1, 2))
    thumbs[3] = thumbs[4][:, ::-1]
    splits = np.array(["train"] * 2 + ["test"] + ["train"] * 20 + ["validation"])
    _, _, report = look(index_of(PLENTY, splits=splits), pictures(24), thumbs)
    assert one(report, "near").details["pairs"] == 3
    assert one(report, "near").details["mirrored_or_turned"] == 1
    assert "a/0.png (a) and b/13.png (b)" in one(report, "near_classes").text
    assert one(report, "near_classes").level == "warning"
    assert "a/1.png (train) and a/2.png (test)" in one(report, "near_parts").text
    assert one(report, "near_parts").names == ("a/1.png", "a/2.png")


def test_pixel_identical_images_are_in_the_clusters_of_near_ones():
    """1 equals 0, whose thumbnail is flat; 3 is near 2; 4 equals 3."""
    thumbs = copies_of(smooth(24), (2, 3), (3, 4))
    thumbs[4] = thumbs[3]
    thumbs[:2] = 9
    facts = pictures(24)
    facts[1], facts[4] = facts[0], facts[3]
    _, _, report = look(index_of(PLENTY), facts, thumbs)
    assert report.alike[:6].tolist() == [0, 0, 2, 2, 2, 5]
    assert report.identical[:6].tolist() == [0, 0, 2, 3, 3, 5]


def test_numbers_stay_right_when_conflicting_copies_leave():
    thumbs = copies_of(smooth(24), (2, 3))
    thumbs[23] = thumbs[0]
    facts = pictures(24)
    facts[23] = picture(0)
    _, rows, report = look(index_of(PLENTY), facts, thumbs)
    assert rows.tolist() == list(range(1, 23))
    assert report.alike[1] == report.alike[2]
    assert len(set(report.alike.tolist())) == 21
    assert one(report, "near_classes").details["pixel_identical"] == 1


def chain_of(count):
    """Pictures that change little from one to the next and much from end to end."""
    start, end = smooth(2, seed=8)
    return np.stack([(start * (1 - t) + end * t) for t in np.linspace(0, 1, count)]).astype(np.uint8)


def test_a_giant_cluster_is_reported_and_not_kept_together():
    thumbs = np.concatenate([chain_of(60), smooth(140, seed=20)])
    labels = [0] * 100 + [1] * 100
    facts = pictures(200)
    facts[1] = facts[0]
    thumbs[1] = thumbs[0]
    _, _, report = look(index_of(labels), facts, thumbs)
    assert one(report, "near_suspects").level == "warning"
    assert len(one(report, "near_suspects").names) == 60
    assert report.alike[:3].tolist() == [0, 0, 2]  # what is identical stays together
    assert len(set(report.alike.tolist())) == 199


def test_the_search_gives_up_where_everything_looks_alike(monkeypatch):
    monkeypatch.setattr(near, "_MOST", 100)
    thumbs = np.clip(smooth(1) + np.random.default_rng(0).normal(0, 1, (30, 32, 32)), 0, 255).astype(np.uint8)
    pairs = near.near_pairs(thumbs, 0.995)
    assert not pairs.complete
    assert len(pairs) == 0
    _, _, report = look(index_of([0, 1] * 15), pictures(30), thumbs)
    assert one(report, "near_suspects").level == "warning"
    assert (report.alike == np.arange(30)).all()


def test_noise_is_like_nothing():
    assert len(near.near_pairs(noise(200), 0.98)) == 0
    assert len(near.near_pairs(noise(1), 0.98)) == len(near.near_pairs(noise(0), 0.98)) == 0
