"""What a table says about an image leads to the right file, or to none with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from medplug_standard.readers.filematch import Finder, finders


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a/x.png", "a/x.png"),
        ("./a/x.png", "a/x.png"),
        ("a\\x.png", "a/x.png"),
        ("A/X.PNG", "a/x.png"),
        ("a/x", "a/x.png"),
        ("x", "a/x.png"),
        ("x.png", "a/x.png"),
        ("x.dcm", ""),
        ("x.jpg", "a/x.png"),  # converted since
        ("/other/machine/a/x.png", "a/x.png"),
        ("C:\\data\\a\\x.png", "a/x.png"),
        ("b/x.png", ""),
        ("7", "007.png"),
        ("7.0", "007.png"),
        ("07", "007.png"),
        ("8", ""),
        ("100%", "100%.png"),
        ("100%.png", "100%.png"),
        ("two words (1)", "two words (1).png"),
        ("v1.2 of.it", "v1.2 of.it.png"),
        ("twin", ""),
        ("twin.jpg", "twin.jpg"),
        ("only_mask", ""),
        ("m/only_mask.png", "m/only_mask.png"),
        ("notes.txt", "notes.txt"),
        ("notes", ""),
        ("", ""),
        ("\0", ""),
        ("9" * 5000, ""),
        ("../outside.png", ""),
    ],
)
def test_values_lead_to_files(tmp_path: Path, value: str, expected: str) -> None:
    names = ["a/x.png", "007.png", "100%.png", "two words (1).png", "v1.2 of.it.png", "twin.jpg", "twin.png"]
    finder = Finder(tmp_path, [*names, "m/only_mask.png", "masks/007.png", "notes.txt"])
    match = finder.find(value)
    assert match.name == expected
    assert bool(match.reason) == (not expected)


def test_an_ambiguous_value_says_what_it_fits(tmp_path: Path) -> None:
    match = Finder(tmp_path, ["a/1.png", "b/1.png"]).find("1.png")
    assert match.reason == "fits 2 files (a/1.png, b/1.png)"


def test_a_path_out_of_the_folder_is_followed_if_the_file_is_there(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "1.png").touch()
    finder = Finder(tmp_path / "tables", [])
    assert finder.find("../1.png").name == "../1.png"
    assert finder.find(str(tmp_path / "1.png")).name == "../1.png"
    assert finder.find("../2.png").reason == "no such file"


def test_the_places_to_look_are_the_folder_and_then_the_likely_subfolders(tmp_path: Path) -> None:
    for name in ("a/1.png", "data/1.png", "images/1.png", "masks/1.png", "docs/1.txt", ".hidden/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert [place.root.name for place in finders(tmp_path)] == [tmp_path.name, "images", "data", "a"]
