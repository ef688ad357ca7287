"""Folders of maps: what is made, what is found again, and what the listing says."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from medplug.config.settings import RenderingSettings
from medplug.errors import ContractError, RunError
from medplug.images import ImageError
from medplug.model.network import build
from medplug.params import component, param
from medplug.runs.explaining.album import LISTING, Album, load_explained, read_explained, read_listing
from medplug.runs.explaining.ground import Ground
from medplug.runs.explaining.maps import Method, Wanted, compute_maps
from medplug.testing.fakes import TinyNet

CLASSES = ("benign", "malignant", "a/b c")


@component
class Bright:
    """The image, centred and times one more than the class: known by hand."""

    gain: float = param("what the map is multiplied by", default=1.0)

    def __call__(self, network: Any, images: Any, classes: Any, keys: Any) -> Any:
        return self.gain * images[:, None, :, :, 0] * (1 + classes[:, :, None, None].astype(jnp.float32))


@pytest.fixture(scope="module")
def network() -> Any:
    return build(TinyNet(), (16, 16, 1), 3, seed=0)


@pytest.fixture(scope="module")
def method(network: Any) -> Method:
    return Method("bright", Bright(), network, "multiclass", 0)


class Files:
    """Twice as large as what the network sees."""

    def __init__(self, pixels: list[np.ndarray]) -> None:
        self.pixels, self.loaded = pixels, 0

    def load(self, uri: str) -> np.ndarray:
        self.loaded += 1
        return self.pixels[int(uri)].repeat(2, 0).repeat(2, 1)


PIXELS = [np.random.default_rng(i).integers(0, 256, (16, 16, 1), dtype=np.uint8) for i in range(5)]


def wanted(count: int = 5, classes: tuple[int, ...] = (0,), **changes: Any) -> list[Wanted]:
    return [
        Wanted(**{
            "sample": f"images/{i} x.png", "uri": str(i), "pixels": PIXELS[i], "shown_for": c, "explained": c,
            "labels": (CLASSES[c],), "probability": 0.25, "predicted": {CLASSES[0]: 0.75}, "right": c == 0, **changes,
        })
        for i in range(count) for c in classes
    ]  # fmt: skip


def fill(
    folder: Path, method: Method, maps: list[Wanted], keep: bool = True, **settings: Any
) -> tuple[Album, list[Any]]:
    with Album(folder, RenderingSettings(**settings), CLASSES, method, keep=keep) as album:
        list(album.add(maps, Ground(Files(PIXELS), None)))
        return album, [dict(entry) for entry in album.finish()]


def expected(i: int, c: int) -> np.ndarray:
    return (PIXELS[i][..., 0] / 255 - 0.5) / 0.25 * (1 + c)


@component
class Complete(Bright):
    """Should sum to its class's number plus one; so by its own account it is off by what it is off."""

    def completeness_error(self, network: Any, images: Any, classes: Any, maps: Any) -> Any:
        wanted = 1.0 + classes.astype(jnp.float32)
        return jnp.abs(maps.sum((2, 3)) / wanted - wanted) / wanted


def test_how_far_a_map_is_from_complete_is_told(network: Any, tmp_path: Path) -> None:
    maps = wanted(3, (0, 2))
    _, entries = fill(tmp_path, Method("complete", Complete(), network, "multiclass", 0), maps)
    for one, entry in zip(maps, entries, strict=True):
        k = 1 + one.explained
        by_hand = abs(expected(int(one.uri), one.explained).sum() / k - k) / k
        assert entry["completeness_error"] == pytest.approx(by_hand, rel=1e-3)
        assert any("do not sum to the change of the score" in told for told in entry["alarms"]) == (by_hand > 0.05)


def test_maps_of_all_classes_are_those_of_one_at_a_time(method: Method) -> None:
    several = wanted(3, (0, 2)) + wanted(1, (1,))
    for one, raw in zip(several, compute_maps(method, several), strict=True):
        assert (raw.dtype, raw.shape) == (np.float32, (16, 16))
        np.testing.assert_allclose(raw, expected(int(one.uri), one.explained), atol=1e-5)


def test_what_is_written(tmp_path: Path, method: Method) -> None:
    album, entries = fill(tmp_path, method, wanted(2, (0, 2)))
    assert (album.made, len(album)) == (4, 4)
    assert json.loads((tmp_path / LISTING).read_text()) == entries
    assert [e["panel"] for e in entries[:2]] == ["000-benign-0-x.png", "001-a-b-c-0-x.png"]
    entry = entries[1]
    raw = expected(0, 2)
    assert entry["raw_range"] == [pytest.approx(raw.min()), pytest.approx(raw.max())]
    assert entry["positive_share"] == pytest.approx(np.maximum(raw, 0).sum() / np.abs(raw).sum())
    assert (entry["scale"], entry["scale_kind"]) == ([0.0, pytest.approx(raw.max())], "image")
    assert (entry["predicted"], entry["right"], entry["parameters"]) == ({"benign": 0.75}, False, {"gain": 1.0})
    with np.load(tmp_path / entry["raw"]) as arrays:
        np.testing.assert_allclose(arrays["map"], raw, atol=1e-5)
        np.testing.assert_array_equal(arrays["image"], PIXELS[0].repeat(2, 0).repeat(2, 1))
    with Image.open(tmp_path / entry["overlay"]) as overlay, Image.open(tmp_path / entry["panel"]) as panel:
        assert overlay.size == (32, 32)
        assert panel.width > 2 * 256  # tiny images are shown large enough to be seen, with what explains them beside
    found = load_explained(tmp_path, entry)
    np.testing.assert_allclose(found.map, raw, atol=1e-5)
    assert (found.high, found.explained, found.panel) == (entry["scale"][1], "a/b c", tmp_path / entry["panel"])


def test_pictures_have_the_resolution_of_the_image(tmp_path: Path, method: Method) -> None:
    large = Files([np.zeros((750, 350, 3), np.uint8)])
    with Album(tmp_path, RenderingSettings(), CLASSES, method) as album:
        list(album.add(wanted(1), Ground(large, None)))
    [entry] = read_listing(tmp_path)
    with Image.open(tmp_path / entry["overlay"]) as overlay:
        assert overlay.size == (700, 1500)
    [reported] = read_explained(tmp_path)  # less for the report, which shrinks it anyway
    assert Image.open(io.BytesIO(reported.overlay)).size == (478, 1024)


def test_nothing_is_made_twice(tmp_path: Path, method: Method, network: Any) -> None:
    fill(tmp_path, method, wanted(3))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.name != LISTING}
    album, entries = fill(tmp_path, method, wanted(3))
    assert (album.made, len(entries)) == (0, 3)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    album, entries = fill(tmp_path, method, wanted(5))
    assert (album.made, len(read_listing(tmp_path))) == (2, 5)
    other = [
        Method("bright", Bright(gain=2.0), network, "multiclass", 0),
        Method("bright", Bright(), build(TinyNet(), (16, 16, 1), 3, seed=1), "multiclass", 0),
        Method("bright", Bright(), network, "multiclass", 1),
    ]
    for changed in other:  # parameters, weights, seed: made again, in the place of what was there
        album, entries = fill(tmp_path, changed, wanted(2))
        assert album.made == 2
        assert len(read_listing(tmp_path)) == 5
        assert len(list(tmp_path.glob("*.npz"))) == 5
    moved = [*wanted(1, pixels=PIXELS[4])]
    assert fill(tmp_path, method, moved)[0].made == 1  # another image under the same name


def test_another_look_draws_again_but_makes_no_map(tmp_path: Path, method: Method) -> None:
    fill(tmp_path, method, wanted(2))
    first = (tmp_path / "overlays" / "000-benign-0-x.png").read_bytes()
    maps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    album, _ = fill(tmp_path, method, wanted(2), style="contour")
    assert album.made == 0
    assert {path: path.stat().st_mtime_ns for path in maps} == maps
    assert (tmp_path / "overlays" / "000-benign-0-x.png").read_bytes() != first


def test_an_explainer_that_is_no_component_may_hold_anything(tmp_path: Path, network: Any) -> None:
    class Own:
        def __call__(self, network: Any, images: Any, classes: Any, keys: Any) -> Any:
            return images[:, None, :, :, 0]

    for _ in range(2):
        own = Method("Own", Own(), network, "multiclass", 0)
        assert fill(tmp_path, own, wanted(1))[0].made == 1
    assert len(read_listing(tmp_path)) == 1


def test_a_shared_scale_ends_at_the_largest_value_of_the_class(tmp_path: Path, method: Method) -> None:
    _, entries = fill(tmp_path, method, wanted(4, (0, 1)), scale="shared")
    for c in (0, 1):
        top = max(expected(i, c).max() for i in range(4))
        own = [e for e in entries if e["explained"] == CLASSES[c]]
        assert all(e["scale"] == [0.0, pytest.approx(top)] and e["scale_kind"] == "shared" for e in own)
        assert max(e["raw_range"][1] for e in own) == pytest.approx(top)
    assert all((tmp_path / e["panel"]).exists() for e in entries)


def test_what_was_finished_before_an_error_stays(tmp_path: Path, method: Method) -> None:
    class Stops(Files):
        def load(self, uri: str) -> np.ndarray:
            if self.loaded == 3:
                raise KeyboardInterrupt
            return super().load(uri)

    with pytest.raises(KeyboardInterrupt), Album(tmp_path, RenderingSettings(), CLASSES, method, keep=True) as album:
        list(album.add(wanted(5), Ground(Stops(PIXELS), None)))
    assert len(read_listing(tmp_path)) == 3
    assert fill(tmp_path, method, wanted(5))[0].made == 2


def test_a_folder_of_its_own_holds_nothing_else_in_the_end(tmp_path: Path, method: Method) -> None:
    fill(tmp_path, method, wanted(4), keep=False)
    album, _ = fill(tmp_path, method, wanted(2, (0, 1)), keep=False)
    assert album.made == 2
    listed = {entry[name] for entry in read_listing(tmp_path) for name in ("panel", "overlay", "raw")}
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*") if p.name != LISTING} == listed


def test_without_positive_evidence_the_picture_says_so(tmp_path: Path, network: Any, method: Method) -> None:
    against = Method("bright", Bright(gain=-1.0), network, "multiclass", 0)
    bright = [np.full((16, 16, 1), 255, np.uint8)]
    with Album(tmp_path, RenderingSettings(), CLASSES, against) as album:
        [entry] = album.add(wanted(1, pixels=bright[0]), Ground(Files(bright), None))
    assert (entry["positive_evidence"], entry["positive_share"]) == (False, 0.0)
    from medplug.runs.explaining.captions import caption_of

    assert any(
        f"No value of the map speaks for {entry['explained']}" in line
        for line in caption_of(entry, RenderingSettings()).lines
    )
    assert entry["alarms"] == ["The map has the same value everywhere: it explains nothing."]


def test_maps_that_are_not_finite_are_refused(tmp_path: Path, network: Any) -> None:
    class Broken:
        def __call__(self, network: Any, images: Any, classes: Any, keys: Any) -> Any:
            return images[:, None, :, :, 0] * jnp.nan

    broken = Method("bright", Broken(), network, "multiclass", 0)
    with pytest.raises(ContractError, match="0 x.png: the map of bright holds NaN"):
        fill(tmp_path, broken, wanted(1))
    assert not list(tmp_path.iterdir())


def test_an_image_that_has_gone_is_drawn_from_the_networks_input(tmp_path: Path, method: Method) -> None:
    class Gone:
        def load(self, uri: str) -> np.ndarray:
            raise ImageError("gone")

    told: list[str] = []
    with Album(tmp_path, RenderingSettings(), CLASSES, method) as album:
        [entry] = album.add(wanted(1), Ground(Gone(), None, told.append))
    assert "0 x.png can no longer be read" in told[0]
    with np.load(tmp_path / entry["raw"]) as arrays:
        np.testing.assert_array_equal(arrays["image"], PIXELS[0])


def test_a_damaged_listing_is_told(tmp_path: Path) -> None:
    (tmp_path / LISTING).write_text("{ half")
    with pytest.raises(RunError, match="is damaged .*remove it"):
        read_listing(tmp_path)


def test_every_key_of_the_listing_is_documented(tmp_path: Path, method: Method) -> None:
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text("utf-8")
    section = text.partition("## `explanations.json`")[2].partition("\n## ")[0]
    told = {
        name for line in section.splitlines() if line.startswith("- `") for name in line.split(":")[0].split("`")[1::2]
    }
    assert set(fill(tmp_path, method, wanted(1))[1][0]) == told
