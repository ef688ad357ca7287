"""What cannot be used is left out and named; what is doubtful is said."""

import json
from dataclasses import replace

import numpy as np
import pytest
from checks_helpers import PLENTY, found, index_of, look, noise, one, picture, pictures

from medplug.config.settings import CheckSettings
from medplug.data.checks import check_data
from medplug.data.facts import ImageFacts
from medplug.errors import DataError
from medplug.values import Index, Skipped


def check(index, facts, **settings):
    return check_data(index, facts, noise(len(index)), CheckSettings(**settings))


def test_clean_data():
    index = index_of(PLENTY, skipped=(Skipped("x_mask.png", "a mask"),), notes=("guessed a column",))
    kept, rows, report = look(index)
    assert len(kept) == 24
    assert rows.dtype == np.int64
    assert rows.tolist() == list(range(24))
    assert [f.check for f in report.findings] == [
        "skipped", "reader", "readable", "constant", "duplicates", "near", "classes", "groups", "shortcut", "averages",
    ]  # fmt: skip
    assert "x_mask.png" in one(report, "skipped").text
    assert one(report, "skipped").level == "note"
    assert not report.of_level("warning")
    assert report.unusable(strict=True) == ""


def test_what_the_reader_lost_is_a_warning():
    index = index_of(PLENTY, skipped=(Skipped("row 7", "no such file", lost=True), Skipped("x", "hidden folder")))
    levels = {f.text: f.level for f in found(look(index)[2], "skipped")}
    assert sorted(levels.values()) == ["note", "warning"]


@pytest.mark.parametrize("gone", [[3], [0, 23], [5, 6, 7]])
def test_rows_lead_back_to_the_given_samples(gone):
    facts = [ImageFacts(error="damaged or truncated: end") if i in gone else picture(i) for i in range(24)]
    thumbs = noise(24)
    index = index_of(PLENTY)
    kept, rows, report = look(index, facts, thumbs)
    assert rows.tolist() == [i for i in range(24) if i not in gone]
    assert kept.samples == tuple(index.samples[i] for i in rows)
    assert len(report.identical) == len(report.alike) == len(rows)


def test_unreadable_images_are_left_out_named_and_lost():
    facts = [*pictures(23), ImageFacts(error="truncated")]
    kept, _, report = check(index_of(PLENTY), facts)
    assert len(kept) == 23
    finding = one(report, "readable")
    assert (finding.level, finding.names) == ("warning", ("b/23.png",))
    assert finding.details == {"reasons": {"truncated": 1}}
    assert Skipped("b/23.png", "truncated", lost=True) in report.skipped
    with pytest.raises(DataError, match=r"--strict: 1 file cannot be read and is left out: b/23.png \(truncated\)"):
        check(index_of(PLENTY), facts, strict=True)
    with pytest.raises(DataError, match="checks.unreadable=leave_out"):
        check(index_of(PLENTY), facts, unreadable="error")


def test_strict_lets_notes_pass():
    index = index_of(PLENTY, skipped=(Skipped("x_mask.png", "a mask"),))
    check(index, pictures(24), strict=True)


def test_one_picture_under_two_labels_is_left_out_kept_or_an_error():
    facts = [picture(0), *(picture(i) for i in range(1, 23)), picture(0)]
    kept, rows, report = check(index_of(PLENTY), facts)
    assert rows.tolist() == list(range(1, 23))
    assert "a/0.png is a; b/23.png is b" in one(report, "conflicts").text
    assert one(report, "conflicts").names == ("a/0.png", "b/23.png")
    kept, _, report = check(index_of(PLENTY), facts, conflicts="keep")
    assert len(kept) == 24
    assert report.identical[0] == report.identical[23]
    with pytest.raises(DataError, match="checks.conflicts=leave_out"):
        check(index_of(PLENTY), facts, conflicts="error")


def test_a_label_that_is_unknown_contradicts_nothing():
    targets = np.array([[1, 0], [np.nan, 0], [0, 1], [0, np.nan]] * 12, np.float32)
    names = tuple(map(str, range(48)))
    index = Index(names, names, targets, ("a", "b"), "multilabel")
    facts = [picture(min(i, 1) if i < 2 else i) for i in range(48)]
    facts[1] = facts[0]
    assert not found(look(index, facts)[2], "conflicts")
    facts[2] = facts[0]
    assert one(look(index, facts)[2], "conflicts").names == ("0", "1", "2")


def test_copies_are_counted_as_bytes_and_as_pixels_across_classes_and_parts():
    """Three groups of pixels, of which two are byte-identical files; one is under two labels, one in two parts."""
    splits = np.array(["train", "test"] * 12)
    index = index_of([0] * 12 + [1] * 12, splits=splits)
    facts = pictures(24)
    facts[1] = facts[2] = facts[0]
    facts[3] = picture(13, content="another file")  # pixels of 13, which is of the other class and part
    facts[6] = facts[4]
    _, _, report = look(index, facts, conflicts="keep")
    finding = one(report, "duplicates")
    assert finding.details["pixels"] == {"groups": 3, "images": 7, "surplus": 4, "across_classes": 1, "across_parts": 1}
    assert finding.details["bytes"] == {"groups": 2, "images": 5, "surplus": 3, "across_classes": 0, "across_parts": 1}
    assert finding.details["clusters"][0] == ["a/0.png", "a/1.png", "a/2.png"]
    assert finding.level == "warning"  # a given split is torn
    assert len(set(report.identical.tolist())) == 20
    _, _, report = look(index_of(PLENTY), [picture(0), picture(0), *pictures(24)[2:]])
    assert one(report, "duplicates").level == "note"
    assert "1 picture more than once (1 surplus image; all as byte-identical files)" in one(report, "duplicates").text


def test_duplicates_can_be_ignored():
    facts = [picture(0), picture(0), *pictures(24)[2:]]
    _, _, report = look(index_of(PLENTY), facts, duplicates="ignore")
    assert not found(report, "duplicates")
    assert len(set(report.identical.tolist())) == len(set(report.alike.tolist())) == 24


def test_a_few_images_without_any_content_are_left_out():
    facts = [picture(0, constant=True, values=1), *pictures(24)[1:]]
    kept, rows, report = look(index_of(PLENTY), facts)
    assert rows.tolist() == list(range(1, 24))
    assert one(report, "constant").level == "warning"
    assert one(report, "constant").names == ("a/0.png",)
    assert [s.name for s in report.skipped] == ["a/0.png"]
    assert len(look(index_of(PLENTY), facts, constant="keep")[0]) == 24
    many = [picture(i, constant=i % 2 == 0) for i in range(24)]
    kept, _, report = look(index_of(PLENTY), many)
    assert len(kept) == 24
    assert "so many that they are kept" in one(report, "constant").text


def test_masks_that_their_pixels_betray_are_left_out():
    facts = [picture(i, values=2 if i < 5 else 3) for i in range(24)]
    kept, rows, report = look(index_of(PLENTY), facts)
    assert rows.tolist() == list(range(5, 24))
    assert one(report, "two_valued").level == "warning"
    assert {s.reason for s in report.skipped} == {"two values only, as masks have"}
    kept, _, report = look(index_of(PLENTY), facts, two_valued="keep")
    assert len(kept) == 24
    assert one(report, "two_valued").text.endswith("; kept")


def test_binary_images_are_data_where_most_images_are_binary():
    facts = [picture(i, values=2 if i < 12 else 3) for i in range(24)]
    kept, _, report = look(index_of(PLENTY), facts)
    assert len(kept) == 24
    assert one(report, "two_valued").level == "note"
    assert "12 of 24 images" in one(report, "two_valued").text


def test_the_fingerprint_depends_on_pixels_and_labels_but_not_on_order_or_names():
    def fingerprint(index, facts):
        return look(index, facts)[2].fingerprint

    index, facts = index_of(PLENTY), pictures(24)
    first = fingerprint(index, facts)
    order = np.random.default_rng(0).permutation(24)
    assert fingerprint(index.take(order), [facts[i] for i in order]) == first
    assert fingerprint(replace(index, samples=tuple(f"renamed {name}" for name in index.samples)), facts) == first
    assert fingerprint(index, [picture(99), *facts[1:]]) != first
    swapped = Index(index.samples, index.uris, index.targets[:, ::-1], index.classes)
    assert fingerprint(swapped, facts) != first


def test_nothing_but_text_numbers_and_names_goes_into_the_file():
    facts = [picture(i, file={"mode": "L" if i < 12 else "RGB", "bytes": 100 + i}) for i in range(24)]
    facts[1] = facts[0]
    thumbs = noise(24)
    thumbs[5] = thumbs[4][:, ::-1]
    index = index_of(PLENTY, splits=np.array(["train", "test"] * 12), metadata={"note": np.array(["x", "y"] * 12)})
    _, _, report = look(index, facts, thumbs)
    text = json.dumps(report.to_json(), allow_nan=False)
    assert json.loads(text)["findings"][0]["check"] == "readable"
    assert {"fingerprint", "findings", "skipped"} == set(report.to_json())


def test_data_of_which_nothing_can_be_read_leave_an_empty_index():
    kept, rows, report = look(
        index_of(PLENTY), [ImageFacts(error="not an image")] * 24, np.zeros((24, 32, 32), np.uint8)
    )
    assert len(kept) == len(rows) == len(report.alike) == 0
    assert one(report, "readable").level == "warning"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_hardly_any_images_do_not_end_the_checks(count):
    kept, _, report = look(index_of([i % 2 for i in range(count)]))
    assert len(kept) == count
    assert "too few images" in one(report, "shortcut").text


@pytest.mark.parametrize(
    ("switch", "checks"),
    [("near", {"near"}), ("classes", {"classes"}), ("groups", {"groups"}), ("shortcut", {"shortcut", "averages"})],
)
def test_each_check_has_a_switch(switch, checks):
    every = {f.check for f in look(index_of(PLENTY))[2].findings}
    assert every - {f.check for f in look(index_of(PLENTY), **{switch: "ignore"})[2].findings} == checks
