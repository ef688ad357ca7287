"""What cannot be used is left out and named; what is doubtful is said."""

import numpy as np
import pytest

from medplug.config.settings import CheckSettings
from medplug.data.checks import check_data
from medplug.data.facts import ImageFacts
from medplug.data.store import PixelStore
from medplug.errors import DataError
from medplug.values import Index, Skipped


def index_of(labels, classes=("a", "b")):
    names = tuple(f"{classes[k]}/{i}.png" for i, k in enumerate(labels))
    targets = np.eye(len(classes), dtype=np.float32)[np.asarray(labels, int)]
    return Index(
        names, names, targets, tuple(classes), skipped=(Skipped("x_mask.png", "a mask"),), notes=("guessed a column",)
    )


def store_of(*facts):
    images = np.arange(len(facts), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    return PixelStore(images, facts, np.zeros((len(facts), 32, 32), np.uint8))


def picture(number, **more):
    return ImageFacts(f"hash{number}", (2, 2, 1), **more)


PLENTY = [0] * 12 + [1] * 12


def levels(report, check):
    return [f.level for f in report.findings if f.check == check]


def test_clean_data():
    index, store, report = check_data(index_of(PLENTY), store_of(*map(picture, range(24))), CheckSettings())
    assert len(index) == len(store.facts) == 24
    assert [f.check for f in report.findings] == ["skipped", "reader", "readable", "duplicates"]
    assert "x_mask.png" in report.findings[0].text


def test_unreadable_images_are_left_out_and_named():
    facts = [*map(picture, range(23)), ImageFacts(error="truncated")]
    index, store, report = check_data(index_of(PLENTY), store_of(*facts), CheckSettings())
    assert len(index) == 23
    assert store.take(np.array([22])).max() == 22
    assert levels(report, "readable") == ["warning"]
    assert Skipped("b/23.png", "truncated") in report.skipped
    with pytest.raises(DataError, match=r"--strict: 1 file cannot be read and is left out: b/23.png \(truncated\)"):
        check_data(index_of(PLENTY), store_of(*facts), CheckSettings(strict=True))


def test_one_picture_under_two_labels_is_left_out_kept_or_an_error():
    facts = [picture(0), *(picture(i) for i in range(1, 23)), picture(0)]
    index, store, report = check_data(index_of(PLENTY), store_of(*facts), CheckSettings())
    assert len(index) == 22
    assert store.images.shape[0] == 22
    assert "a/0.png is a; b/23.png is b" in next(f.text for f in report.findings if f.check == "conflicts")
    kept, _, report = check_data(index_of(PLENTY), store_of(*facts), CheckSettings(conflicts="keep"))
    assert len(kept) == 24
    assert report.identical[0] == report.identical[23]
    with pytest.raises(DataError, match="checks.conflicts=leave_out"):
        check_data(index_of(PLENTY), store_of(*facts), CheckSettings(conflicts="error"))


def test_copies_under_one_label_share_a_number():
    facts = [picture(0), picture(0), picture(0), *(picture(i) for i in range(3, 24))]
    _, _, report = check_data(index_of(PLENTY), store_of(*facts), CheckSettings())
    assert len(set(report.identical.tolist())) == 22
    assert "1 picture more than once (2 surplus images)" in report.findings[-1].text
    _, _, report = check_data(index_of(PLENTY), store_of(*facts), CheckSettings(duplicates="ignore"))
    assert len(set(report.identical.tolist())) == 24


def test_constant_images_and_small_classes_are_warned_about():
    facts = [picture(0, constant=True), *(picture(i) for i in range(1, 14))]
    _, _, report = check_data(index_of([0] * 12 + [1, 2], ("a", "b", "c")), store_of(*facts), CheckSettings())
    assert levels(report, "constant") == ["warning"]
    assert levels(report, "classes") == ["warning", "warning"]
    assert "class 'b' has one image" in next(f.text for f in report.findings if f.check == "classes")


def test_the_fingerprint_depends_on_pixels_and_labels_but_not_on_order():
    def fingerprint(index, facts):
        return check_data(index, store_of(*facts), CheckSettings())[2].fingerprint

    index, facts = index_of(PLENTY), [picture(i) for i in range(24)]
    first = fingerprint(index, facts)
    order = np.random.default_rng(0).permutation(24)
    assert fingerprint(index.take(order), [facts[i] for i in order]) == first
    assert fingerprint(index, [picture(99), *facts[1:]]) != first
    swapped = Index(index.samples, index.uris, index.targets[:, ::-1], index.classes)
    assert fingerprint(swapped, facts) != first
