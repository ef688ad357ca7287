"""Findings that are kept beside the facts: the same as before, and never those of other data."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from checks_helpers import index_of
from store_reader import OPTIONS, Numbers, write_numbers

from medplug.config.settings import CheckSettings
from medplug.data.checks import inspect_data, inspecting, kept
from medplug.data.store import cache, open_store
from medplug.values import About, Skipped

LABELS = [0, 1] * 12
LIGHT = CheckSettings(shortcut="ignore", leaks="ignore")  # what takes longest


@pytest.fixture
def looks(monkeypatch):
    """How often data were really looked through."""
    found, look = [], inspecting._inspect
    monkeypatch.setattr(inspecting, "_inspect", lambda *a: found.append(1) or look(*a))
    return found


@pytest.fixture
def store_of(tmp_path, quiet):
    def made(numbers=range(24)):
        return open_store(Numbers(), "r", write_numbers(tmp_path / "data", numbers), OPTIONS, 2, quiet)

    return made


def check(index, store, settings=LIGHT):
    return inspect_data(index, store.facts, store.thumbs, settings, store.key)


def the_same(a, b):
    (index, rows, report), (other, others, again) = a, b
    assert (index.samples, index.skipped, index.notes) == (other.samples, other.skipped, other.notes)
    np.testing.assert_array_equal(index.targets, other.targets)
    np.testing.assert_array_equal(rows, others)
    for name in ("identical", "alike"):
        np.testing.assert_array_equal(getattr(report, name), getattr(again, name))
    assert json.dumps(report.to_json()) == json.dumps(again.to_json())


def test_the_same_data_are_looked_through_once(store_of, looks):
    numbers = [*range(20), 3, 4, "no number", 5]  # copies under other labels, and a file that cannot be read
    index = index_of(LABELS, skipped=(Skipped("x", "hidden file"),))
    first = check(index, store_of(numbers), CheckSettings())
    again = check(index, store_of(numbers), CheckSettings())
    assert len(looks) == 1
    assert len(first[1]) < 24
    the_same(first, again)
    plain = inspect_data(index, store_of(numbers).facts, store_of(numbers).thumbs, CheckSettings())
    the_same(plain, again)
    assert len(looks) == 2


OTHER = {
    "labels": lambda index: replace(index, targets=np.roll(index.targets, 1, axis=0)),
    "an unknown label": lambda index: replace(
        index, targets=np.where(np.arange(24)[:, None] == 5, np.nan, index.targets), task="multilabel"
    ),
    "names": lambda index: replace(index, samples=tuple(f"b{name}" for name in index.samples)),
    "classes": lambda index: replace(index, classes=("a", "c")),
    "groups": lambda index: replace(index, groups={"patient": np.array([f"p{i // 2}" for i in range(24)])}),
    "other groups": lambda index: replace(index, groups={"patient": np.array([f"p{i // 3}" for i in range(24)])}),
    "guessed groups": lambda index: replace(
        index, groups={"patient": np.array([f"p{i // 2}" for i in range(24)])}, guessed=("patient",)
    ),
    "a column": lambda index: replace(index, metadata={"age": np.arange(24.0)}),
    "a column of objects": lambda index: replace(index, metadata={"age": np.array([None, 1] * 12, object)}),
    "given parts": lambda index: replace(index, splits=np.array(["train", "test"] * 12)),
    "files left out": lambda index: replace(index, skipped=(Skipped("x", "hidden file"),)),
    "notes": lambda index: replace(index, notes=("a guess",)),
    "who made them": lambda index: replace(index, about=About("Set")),
}


def test_whatever_changes_in_the_index_leads_to_a_new_look(store_of, looks):
    store, index = store_of(), index_of(LABELS)
    check(index, store)
    places = {kept.place_of(store.key, index, store.facts, LIGHT)}
    for number, change in enumerate(OTHER.values(), 2):
        other = change(index)
        places.add(kept.place_of(store.key, other, store.facts, LIGHT))
        if number < 6:  # a look takes time; the others are known by their place
            check(other, store)
            assert len(looks) == number
    assert len(places) == 1 + len(OTHER)


def test_other_settings_and_versions_lead_to_a_new_look(store_of, looks, monkeypatch):
    store, index = store_of(), index_of(LABELS)
    check(index, store)
    changes = {"near": "report", "groups": "ignore", "near_correlation": 0.99, "strict": True}
    assert set(changes) <= set(asdict(CheckSettings()))
    for number, (name, value) in enumerate(changes.items(), 2):
        check(index, store, replace(LIGHT, **{name: value}))
        assert len(looks) == number
    monkeypatch.setattr(kept, "__version__", "9.9.9")
    check(index, store)
    assert len(looks) == 6
    monkeypatch.setattr(kept, "_code", lambda: "other code")
    check(index, store)
    assert len(looks) == 7


@pytest.mark.parametrize("change", ["changed", "deleted", "one more"])
def test_other_files_lead_to_a_new_look(store_of, looks, change, tmp_path, quiet):
    index = index_of(LABELS)
    check(index, store_of())
    numbers = {"changed": [*range(23), 77], "deleted": range(24), "one more": range(26)}[change]
    uris = write_numbers(tmp_path / "data", numbers)
    if change == "deleted":
        (tmp_path / "data" / "005.txt").unlink()
    store = open_store(Numbers(), "r", uris, OPTIONS, 2, quiet)
    _, rows, report = check(index_of([*LABELS, 0, 1][: len(uris)]), store)
    assert len(looks) == 2
    assert len(rows) == len(uris) - (change == "deleted")
    assert any("cannot be read" in f.text for f in report.findings) == (change == "deleted")


def test_an_image_that_can_be_read_now_leads_to_a_new_look(store_of, looks, tmp_path, quiet):
    """The file is the same; its decoder was missing."""
    index, uris = index_of(LABELS), write_numbers(tmp_path / "data", range(24))
    poor = Numbers()
    able = poor.load
    poor.load = lambda uri: able(uri if not uri.endswith("007.txt") else uri + ".gone")
    assert len(check(index, open_store(poor, "r", uris, OPTIONS, 2, quiet))[1]) == 23
    assert len(check(index, open_store(Numbers(), "r", uris, OPTIONS, 2, quiet))[1]) == 24
    assert len(looks) == 2


@pytest.mark.parametrize("damage", ["a byte", "half", "none of it"])
def test_damaged_findings_are_made_again(store_of, looks, damage):
    store, index = store_of(), index_of(LABELS)
    first = check(index, store)
    place = kept.place_of(store.key, index, store.facts, LIGHT)
    whole = place.read_bytes()
    place.write_bytes(
        {"a byte": whole.replace(b"[0, 1,", b"[0, 0,", 1), "half": whole[:500], "none of it": b""}[damage]
    )
    assert place.read_bytes() != whole
    the_same(first, check(index, store))
    assert len(looks) == 2
    assert place.read_bytes() == whole


def test_findings_go_with_the_facts_and_do_not_pile_up(store_of, monkeypatch):
    monkeypatch.setattr(kept, "_MOST", 3)
    store, index = store_of(), index_of(LABELS)
    for number in range(5):
        check(index, store, replace(LIGHT, near="ignore", near_correlation=0.95 + number / 100))
    folder = cache.root() / store.key
    assert len(list(folder.glob("checks-*.json"))) == 3
    for held in (store.held, getattr(store.images._guard, "_stored", None)):
        held.held.close()
    cache.clear()
    assert not folder.exists()


def test_a_cache_of_somebody_else_is_no_trouble(store_of, looks, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError("not yours")

    store, index = store_of(), index_of(LABELS)
    monkeypatch.setattr(kept, "atomic", refused)
    check(index, store)
    check(index, store)
    assert len(looks) == 2
