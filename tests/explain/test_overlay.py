from __future__ import annotations

import numpy as np
import pytest

from medplug.config.settings import RenderingSettings
from medplug.errors import ContractError
from medplug.explain.colormaps import colours, signed_colours
from medplug.explain.overlay import colour_scale, positive_share, render_map, scale_ends

DEFAULT = RenderingSettings()
PUBLISHED = RenderingSettings(rectify=False, scaling="minmax", colormap="jet", alpha=0.4, constant_alpha=True)
GREY = np.full((6, 8, 1), 100, np.uint8)


def drawn(map2d: list[list[float]], settings: RenderingSettings, image: np.ndarray = GREY) -> np.ndarray:
    return np.asarray(render_map(np.array(map2d, np.float32), image, settings).picture, np.float64)


def test_maximum_is_blended_by_alpha_and_zero_is_untouched() -> None:
    map2d = np.zeros((6, 8), np.float32)
    map2d[2, 3], map2d[4, 4], map2d[1, 1] = 0.02, 0.01, -5
    overlay = render_map(map2d, GREY, DEFAULT)
    picture = np.asarray(overlay.picture, np.float64)
    top = colours(np.array(1.0), "magma") * 255
    np.testing.assert_allclose(picture[2, 3], 0.4 * 100 + 0.6 * top, atol=0.51)
    half = colours(np.array(0.5), "magma") * 255
    np.testing.assert_allclose(picture[4, 4], 0.7 * 100 + 0.3 * half, atol=0.51)
    untouched = np.ones((6, 8), bool)
    untouched[[2, 4], [3, 4]] = False
    assert (picture[untouched] == 100).all()
    assert (overlay.evidence, overlay.low, overlay.high) == (True, -5.0, pytest.approx(0.02))
    assert overlay.scale == (0.0, pytest.approx(0.02))


@pytest.mark.parametrize("changes", [{}, {"constant_alpha": True}, {"colormap": "jet"}, {"scaling": "minmax"}])
@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_no_positive_evidence_adds_no_colour(changes: dict, value: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    overlay = render_map(np.full((4, 4), value, np.float32), image, RenderingSettings(**changes))
    assert not overlay.evidence
    np.testing.assert_array_equal(np.asarray(overlay.picture), image)


def test_published_overlay_by_its_formula() -> None:
    """AUCMEDI's: min-max to 0…1 without ReLU, then 0.4 of jet and 0.6 of the image, everywhere."""
    rng = np.random.default_rng(1)
    map2d, image = rng.normal(-3, 1, (5, 7)).astype(np.float32), rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    overlay = render_map(map2d, image, PUBLISHED)
    heat = (map2d - map2d.min()) / (map2d.max() - map2d.min())
    np.testing.assert_allclose(np.asarray(overlay.picture), 0.4 * 255 * colours(heat, "jet") + 0.6 * image, atol=0.51)
    assert overlay.scale == (overlay.low, overlay.high)


def test_published_overlay_paints_a_map_that_speaks_against_the_class() -> None:
    overlay = render_map(np.array([[-2.0, -1.0]], np.float32), np.full((1, 2, 3), 100, np.uint8), PUBLISHED)
    assert not overlay.evidence
    red, _, blue = np.asarray(overlay.picture)[0, 1].tolist()
    assert red > blue + 40


def test_each_switch_changes_the_picture() -> None:
    map2d = [[-1.0, 0.5], [1.0, 2.0]]
    base = drawn(map2d, DEFAULT)
    for change in ({"rectify": False}, {"colormap": "jet"}, {"alpha": 0.4}, {"constant_alpha": True}):
        assert np.abs(drawn(map2d, RenderingSettings(**change)) - base).max() > 5, change
    positive = [[1.0, 1.5], [2.0, 3.0]]
    difference = drawn(positive, RenderingSettings(scaling="minmax")) - drawn(positive, DEFAULT)
    assert np.abs(difference).max() > 5
    signed = drawn(positive, RenderingSettings(rectify=False, scaling="minmax"))
    np.testing.assert_allclose(signed, drawn(positive, RenderingSettings(scaling="minmax")), atol=1)


def test_signed_scale_has_zero_in_its_middle() -> None:
    settings = RenderingSettings(rectify=False)
    overlay = render_map(np.array([[-4.0, 0.0, 2.0]], np.float32), np.full((1, 3, 3), 100, np.uint8), settings)
    picture = np.asarray(overlay.picture, np.float64)[0]
    against = signed_colours(np.array(-1.0), "magma")
    np.testing.assert_allclose(picture[0], 0.4 * 100 + 0.6 * 255 * against, atol=0.51)
    assert (picture[1] == 100).all()
    np.testing.assert_allclose(picture[2], 0.7 * 100 + 0.3 * 255 * colours(np.array(0.5), "magma"), atol=0.51)
    assert overlay.scale == (-4.0, 4.0)


def test_both_signs_are_equally_light_and_never_look_alike() -> None:
    at = np.linspace(0, 1, 41)
    for_, against = (signed_colours(sign * at, "magma") for sign in (1, -1))
    lightness = [cielab(c)[:, 0] for c in (for_, against)]
    assert np.abs(lightness[0] - lightness[1]).max() < 5
    apart = np.linalg.norm(cielab(for_) - cielab(against), axis=1)
    assert (apart[at > 0.2] > 20).all()
    np.testing.assert_allclose(signed_colours(2 * at - 1, "jet"), colours(at, "jet"), atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (0.0, 2.0)),
        ({"rectify": False}, (-4.0, 4.0)),
        ({"scaling": "minmax"}, (0.0, 2.0)),
        ({"rectify": False, "scaling": "minmax"}, (-4.0, 2.0)),
    ],
)
def test_the_ends_of_the_scale(changes: dict, expected: tuple[float, float]) -> None:
    assert scale_ends(-4.0, 2.0, RenderingSettings(**changes)) == expected


@pytest.mark.parametrize("changes", [{}, {"rectify": False}, {"rectify": False, "scaling": "minmax"}])
def test_on_a_shared_scale_equal_values_look_equal(changes: dict) -> None:
    settings, scale = RenderingSettings(**changes), scale_ends(-3.0, 8.0, RenderingSettings(**changes))
    image = np.full((1, 2, 3), 100, np.uint8)
    small, large = (
        np.asarray(render_map(np.array([[2.0, top]], np.float32), image, settings, scale).picture) for top in (4, 8)
    )
    np.testing.assert_array_equal(small[0, 0], large[0, 0])
    alone = np.asarray(render_map(np.array([[2.0, 4.0]], np.float32), image, settings).picture)
    assert np.abs(alone[0, 1].astype(int) - small[0, 1]).max() > 5


def test_share_of_positive_evidence() -> None:
    assert positive_share(np.array([[3.0, -1.0]])) == 0.75
    assert positive_share(np.array([[-2.0, -1.0]])) == 0.0
    assert positive_share(np.zeros((2, 2))) is None


def test_map_is_brought_to_the_size_of_the_image_bilinearly() -> None:
    """Half-pixel centres: between two cells of 0 and 1, enlarged four times, the shares are 1/8, 3/8, 5/8, 7/8."""
    settings = RenderingSettings(alpha=1.0, constant_alpha=True)
    picture = drawn([[0.0, 1.0]], settings, np.zeros((1, 8, 1), np.uint8)) / 255
    expected = colours(np.array([0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1]), "magma")
    np.testing.assert_allclose(picture[0], expected, atol=1 / 255)


def test_scale_factor_of_the_map_does_not_matter() -> None:
    map2d = np.random.default_rng(0).normal(size=(7, 7))
    np.testing.assert_array_equal(drawn((1e-12 * map2d).tolist(), DEFAULT), drawn(map2d.tolist(), DEFAULT))


def test_the_colour_scale_ends_as_the_map_does() -> None:
    scale = colour_scale(DEFAULT, 5)
    assert len(scale) == 5
    assert scale[0] == "#000000"
    top = np.round(255 * 0.6 * colours(np.array(1.0), "magma")).astype(int).tolist()
    assert scale[-1] == "#{:02x}{:02x}{:02x}".format(*top)


@pytest.mark.parametrize(
    ("map2d", "image", "message"),
    [
        (np.zeros((2, 2, 1)), GREY, r"must be \[h, w\]"),
        (np.zeros((0, 2)), GREY, r"must be \[h, w\]"),
        (np.full((2, 2), np.nan), GREY, "finite"),
        (np.zeros((2, 2)), GREY.astype(np.float32), "uint8"),
        (np.zeros((2, 2)), np.zeros((4, 4, 4), np.uint8), "1 or 3"),
    ],
)
def test_what_cannot_be_drawn_is_told(map2d: np.ndarray, image: np.ndarray, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        render_map(map2d, image, DEFAULT)


# ------------------------------------------------------------ colours


def cielab(rgb: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    return rgb2lab(rgb[None])[0]


def deficient(rgb: np.ndarray, kind: str) -> np.ndarray:
    """How a dichromat sees sRGB: Machado, Oliveira and Fernandes 2009, severity 1."""
    matrix = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }[kind]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(matrix).T, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def test_magma_is_even_and_jet_is_not() -> None:
    at = np.linspace(0, 1, 101)
    for name, even in (("magma", True), ("jet", False)):
        lightness = cielab(colours(at, name))[:, 0]
        steps = np.diff(lightness)
        assert (steps > 0).all() == even
        unevenness = np.abs(lightness - np.linspace(lightness[0], lightness[-1], 101)).max()
        assert (unevenness < 6) if even else (unevenness > 30)


@pytest.mark.parametrize("kind", ["protan", "deutan", "tritan"])
def test_magma_rises_in_lightness_for_every_colour_vision(kind: str) -> None:
    lightness = cielab(deficient(colours(np.linspace(0, 1, 51), "magma"), kind))[:, 0]
    assert (np.diff(lightness) > 0).all()
    assert lightness[-1] - lightness[0] > 90


def test_known_colours() -> None:
    def hexes(name: str) -> list[str]:
        return ["#" + bytes(c).hex() for c in np.round(255 * colours(np.array([0, 1 / 9, 1.0]), name)).astype(np.uint8)]

    assert hexes("magma") == ["#000004", "#180f3e", "#fcfdbf"]
    assert hexes("jet")[::2] == ["#000080", "#800000"]
    np.testing.assert_allclose(colours(np.array([0.35, 0.5]), "jet")[:, 1], [0.9, 1.0])
