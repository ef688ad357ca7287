"""Phantoms are labelled, repeatable, neither trivial nor featureless, and know where their lesions are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medplug.plugins import DataError, ImageError
from medplug.testing import check_component
from medplug_standard.readers import phantom_drawing
from medplug_standard.readers.phantoms import Phantoms


def test_it_keeps_the_contract() -> None:
    assert check_component(Phantoms, source="12", named_only=True).passed


def test_the_argument_says_how_many() -> None:
    reader = Phantoms(images=9)
    assert len(reader.index("")) == 9
    index = reader.index("600")
    assert index.classes == ("benign", "malignant", "normal")
    assert index.class_counts()[:, 0].tolist() == [200, 200, 200]
    assert index.samples[1] == "benign/000003.png"
    assert reader.can_read("600") == reader.can_read("") == 0


@pytest.mark.parametrize("argument", ["many", "2", "-5", "1e3", "100001", "99999999999999999999", "٣٣"])
def test_another_argument_is_refused(argument: str) -> None:
    with pytest.raises(DataError, match="how many images"):
        Phantoms().index(argument)


def test_labels_agree_with_names_and_uris() -> None:
    index = Phantoms().index("30")
    for row, (sample, uri) in enumerate(zip(index.samples, index.uris, strict=True)):
        assert sample.split("/")[0] == uri.split("/")[1] == index.label_text(row)


def test_an_image_is_the_same_however_it_is_asked_for() -> None:
    few, many = Phantoms().index("6"), Phantoms(images=60).index("")
    assert set(few.uris) < set(many.uris)
    uri = few.uris[0]
    first, other_reader = Phantoms().load(uri), Phantoms(seed=5, size=64).load(uri)
    np.testing.assert_array_equal(first, other_reader)
    assert first.shape == (128, 128, 1)
    assert first.dtype == np.uint8


def test_images_seeds_and_sizes_differ() -> None:
    drawn = [Phantoms(seed=s).load(u) for s in (0, 1) for u in Phantoms(seed=s).index("9").uris]
    assert len({image.tobytes() for image in drawn}) == 18
    small = Phantoms(size=64)
    assert small.load(small.index("3").uris[0]).shape == (64, 64, 1)


@pytest.mark.parametrize(
    "uri", ["", "benign/1", "phantoms/odd/000001?seed=0&size=128", "phantoms/benign+cyst/1?seed=0&size=128"]
)
def test_another_uri_is_refused(uri: str) -> None:
    with pytest.raises(ImageError, match=r"phantom|classes are"):
        Phantoms().load(uri)


def test_the_mask_is_where_the_echo_is_weak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before speckle and gain, the echo is weaker within the mask than outside it."""
    for name in ("benign", "malignant"):
        levels = []
        monkeypatch.setattr(phantom_drawing, "_scan", lambda scene, kept=levels: kept.append(scene.level.copy()))
        for number in range(6):
            _, regions = phantom_drawing.draw_class(name, 128, np.random.default_rng(number))
            mask = regions[name]
            inside, around = levels[-1][mask].mean(), levels[-1][~mask].mean()
            assert 0.004 < mask.mean() < 0.25
            assert inside < around - 3


def test_normal_images_have_no_mask_and_lesions_have_one() -> None:
    reader = Phantoms()
    for uri in reader.index("30").uris:
        mask = reader.mask(uri)
        assert mask.shape == (128, 128)
        assert mask.dtype == bool
        assert mask.any() == ("normal" not in uri)
        np.testing.assert_array_equal(mask, reader.mask(uri, "benign") | reader.mask(uri, "malignant"))


def test_benign_lesions_are_rounder_than_malignant_ones() -> None:
    """The outline tells them apart: area over squared perimeter, measured on the masks."""

    def compactness(mask: np.ndarray) -> float:
        edge = sum(np.count_nonzero(mask ^ np.roll(mask, 1, axis)) for axis in (0, 1))
        return 16 * mask.sum() / edge**2

    reader = Phantoms(size=256)
    index = reader.index("60")
    values = {k: [compactness(reader.mask(u)) for u in index.uris if f"/{k}/" in u] for k in ("benign", "malignant")}
    assert np.median(values["benign"]) > 1.5 * np.median(values["malignant"])


def test_speckle_is_fully_developed_over_an_even_field() -> None:
    """The envelope of one look over even scatterers follows Rayleigh's law: mean over deviation is 1.91."""
    scene = phantom_drawing.Scene(256, np.random.default_rng(0))
    power = phantom_drawing.speckle_power(scene, np.ones((256, 256), np.float32), (1.5, 2.5), looks=1)
    envelope = np.sqrt(power)
    assert envelope.mean() / envelope.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.05)
    assert power.mean() == pytest.approx(1, rel=0.05)


# ---------------------------------------------------------------- several findings


def test_findings_come_in_any_combination() -> None:
    index = Phantoms(multilabel=True).index("200")
    assert index.task == "multilabel"
    assert index.classes == ("calcification", "cyst", "mass", "shadow")
    np.testing.assert_allclose(index.targets.mean(0), 0.35, atol=0.1)
    assert set(index.targets.sum(1).tolist()) >= {0.0, 1.0, 2.0, 3.0}
    assert abs(np.corrcoef(index.targets.T) - np.eye(4)).max() < 0.25


def test_each_finding_has_its_own_region() -> None:
    reader = Phantoms(multilabel=True)
    index = reader.index("24")
    for uri, row in zip(index.uris, index.targets, strict=True):
        marked = [bool(reader.mask(uri, name).any()) for name in index.classes]
        assert marked == row.astype(bool).tolist()


def test_a_cyst_is_black_and_bright_below() -> None:
    reader = Phantoms(multilabel=True)
    index = reader.index("60")
    black, bright = [], []
    for uri, row in zip(index.uris, index.targets, strict=True):
        if row.tolist() == [0, 1, 0, 0]:
            image, mask = reader.load(uri)[..., 0].astype(float), reader.mask(uri, "cyst")
            rows = np.flatnonzero(mask.any(1))[-1] + np.arange(3, 15)  # just below the cyst
            black.append(image[mask].mean() < 0.35 * image[~mask].mean())
            bright.append(image[rows][:, mask.any(0)].mean() > image[rows][:, ~mask.any(0)].mean() + 5)
    assert len(black) >= 5
    assert all(black)
    assert np.mean(bright) > 0.8


# ---------------------------------------------------------------- not trivial


def pixel_floor(seed: int) -> float:
    """Macro AUC of a logistic regression on 32x32 grey pixels, trained on 80 % of 600 phantoms."""
    reader = Phantoms(seed=seed)
    index = reader.index("600")
    thumbnails = [Image.fromarray(reader.load(u)[..., 0]).resize((32, 32), Image.Resampling.BOX) for u in index.uris]
    pixels = np.stack([np.asarray(t, np.float32).ravel() for t in thumbnails])
    labels = index.targets.argmax(1)
    train, test = train_test_split(np.arange(600), test_size=0.2, stratify=labels, random_state=seed)
    model = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=1000)
    fitted = make_pipeline(StandardScaler(), model).fit(pixels[train], labels[train])
    return float(roc_auc_score(labels[test], fitted.predict_proba(pixels[test]), multi_class="ovr"))


def test_pixels_alone_do_not_tell_the_classes() -> None:
    assert pixel_floor(0) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_pixels_alone_do_not_tell_the_classes_with_other_seeds(seed: int) -> None:
    assert pixel_floor(seed) < 0.75
