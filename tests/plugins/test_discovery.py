"""The scanner finds what importlib.metadata finds, and survives what lies about."""

from importlib.metadata import distributions, entry_points
from pathlib import Path

import pytest

from medplug.plugins.discovery import Entry, normalise, scan


def distribution(root: Path, name: str, points: str = "", version: str = "1.0", suffix: str = "dist-info") -> None:
    home = root / f"{name}-{version}.{suffix}"
    home.mkdir(parents=True)
    (home / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if points:
        (home / "entry_points.txt").write_text(points)


@pytest.mark.parametrize("group", ["console_scripts", "pytest11", "medplug"])
def test_agrees_with_importlib_metadata(group):
    normal = {normalise(d.metadata["Name"]) for d in distributions()}
    ours = {(e.distribution, e.name, e.value) for e in scan(group=group)}
    theirs = {(normalise(e.dist.name), e.name, e.value) for e in entry_points(group=group)}
    assert ours == {t for t in theirs if t[0] in normal}


def test_sorted_and_with_version(tmp_path):
    distribution(tmp_path, "Z_Last", "[medplug]\nz = z.plugin\n")
    distribution(tmp_path, "a.first", "[other]\nx = y\n[medplug]\nb = a.b\na = a.a\n", "2.0")
    assert scan([str(tmp_path)]) == (
        Entry("a-first", "a", "a.a", "2.0"),
        Entry("a-first", "b", "a.b", "2.0"),
        Entry("z-last", "z", "z.plugin", "1.0"),
    )


def test_the_first_copy_on_the_path_counts(tmp_path):
    distribution(tmp_path / "one", "demo", "[medplug]\na = one\n", "2")
    distribution(tmp_path / "two", "demo", "[medplug]\na = two\n", "1")
    assert [e.value for e in scan([str(tmp_path / "one"), str(tmp_path / "two")])] == ["one"]


def test_an_empty_leftover_does_not_hide_the_real_one(tmp_path):
    (tmp_path / "one" / "demo-1.dist-info").mkdir(parents=True)
    distribution(tmp_path / "two", "demo", "[medplug]\na = two\n")
    assert [e.value for e in scan([str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "missing")])] == ["two"]


def test_editable_installs_take_the_version_from_their_header(tmp_path):
    home = tmp_path / "demo.egg-info"
    home.mkdir()
    (home / "PKG-INFO").write_text("Name: demo\nVersion: 3.1\n")
    (home / "entry_points.txt").write_text("[medplug]\na = demo\n")
    assert scan([str(tmp_path)]) == (Entry("demo", "a", "demo", "3.1"),)
