"""``medplug run`` and ``predict`` on what real folders hold: every flaw has a decided outcome, told before training."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_helpers import (
    UNREADABLE,
    Run,
    check_refused,
    check_told_before_training,
    draw,
    metrics,
    noise,
    odd_images,
    skipped,
    split_of,
)
from PIL import Image

# ---------------------------------------------------------------- nothing to learn from


def test_an_empty_folder(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    check_refused(cli("run", tmp_path / "none", "--out", tmp_path / "run"), "the folder is empty")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_there(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()  # where the last, long-named one would get its folder
    gone = tmp_path / "gone"
    for source in (gone, f"folder:{gone}", f"csv:{gone}", gone / "labels.csv"):
        check_refused(cli("run", source, "--out", tmp_path / "run"), str(gone), "no such")
    check_refused(cli("run", tmp_path / ("x" * 300)), "cannot be opened: File name too long")


def test_one_class_only(cli: Run, tmp_path: Path) -> None:
    draw(tmp_path / "data" / "dark")
    check_refused(cli("run", tmp_path / "data", "--out", tmp_path / "run"), "only one class, 'dark' (12 images)")


def test_a_class_of_which_nothing_can_be_read(cli: Run, data: Path, tmp_path: Path) -> None:
    for file in (data / "light").iterdir():
        file.write_text("text")
    outcome = cli("run", data, "--out", tmp_path / "run")
    check_refused(
        outcome, "at least two classes", "only 'dark'", "12 files left out", "light/11.png (not an image file"
    )
    assert not (tmp_path / "run").exists()


def test_too_few_images_to_split(cli: Run, tmp_path: Path) -> None:
    for name, level in (("dark", 60), ("light", 180)):
        draw(tmp_path / "data" / name, count=1, level=level)
    check_refused(cli("run", tmp_path / "data", "--out", tmp_path / "run"), "2 images are too few")


def test_a_class_with_one_image(cli: Run, data: Path, tmp_path: Path) -> None:
    draw(data / "rare", count=1, level=120)
    outcome = cli("run", data, "--out", tmp_path / "run")
    check_told_before_training(outcome, "warning: class 'rare' has one image")
    assert split_of(tmp_path / "run")["rare/00.png"] == "train"
    figures = metrics(tmp_path / "run")
    assert figures["per_class"]["rare"]["n"] == 0
    assert figures["per_class"]["rare"]["roc_auc"] == {
        "value": None,
        "reason": "no positive samples in the test split",
    }
    assert figures["macro"]["roc_auc"]["excluded"] == ["rare"]
    assert figures["macro"]["roc_auc"]["value"] is not None
    assert "no positive samples in the test split" in (tmp_path / "run" / "report.html").read_text("utf-8")
    strict = cli("run", data, "--out", tmp_path / "strict", "--strict")
    check_refused(strict, "--strict: class 'rare' has one image")


# ---------------------------------------------------------------- files that cannot be read


def test_unreadable_files_are_skipped_counted_and_named(cli: Run, data: Path, tmp_path: Path) -> None:
    for number, (make, _) in enumerate(UNREADABLE):
        make(data / "dark" / f"bad{number}")
    outcome = cli("run", data, "--out", tmp_path / "run")
    check_told_before_training(outcome, "warning: 7 files cannot be read and are left out: dark/bad0.png (not an image")
    assert "and 2 more" in outcome.err
    found = skipped(tmp_path / "run")
    assert len(found) == len(UNREADABLE)
    for number, (_, reason) in enumerate(UNREADABLE):
        [text] = [found[name] for name in found if Path(name).stem == f"bad{number}"]
        assert reason in text
    assert set(split_of(tmp_path / "run")) == {f"{c}/{i:02d}.png" for c in ("dark", "light") for i in range(12)}


@pytest.mark.parametrize(("make", "reason"), UNREADABLE)
def test_strict_ends_at_an_unreadable_file(make: Any, reason: str, cli: Run, data: Path, tmp_path: Path) -> None:
    draw(data / "light", count=14, level=180)
    make(data / "dark" / "bad")
    outcome = cli("run", data, "--out", tmp_path / "run", "--strict")
    check_refused(outcome, "--strict: 1 file cannot be read and is left out: dark/bad.", reason)
    assert not (tmp_path / "run").exists()


def test_other_files_are_no_images_and_no_reason_to_stop(cli: Run, data: Path, tmp_path: Path) -> None:
    (data / "dark" / "notes.txt").write_text("text")
    (data / "dark" / "00_mask.png").write_bytes((data / "dark" / "00.png").read_bytes())
    (data / ".git").mkdir()
    (data / ".git" / "a.png").touch()
    draw(data / "dark", count=20)
    outcome = cli("run", data, "--out", tmp_path / "run", "--strict")
    check_told_before_training(
        outcome,
        "1 file left out (not an image by its extension (.txt)): dark/notes.txt",
        "1 file left out (a mask by its name): dark/00_mask.png",
        "1 file left out (hidden folder): .git/",
    )


# ---------------------------------------------------------------- labels


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """``table(line, …)``: 24 images in images/, and a CSV file with a header and the given lines."""
    for number in range(24):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(noise(60 + 100 * (number % 2), number)).save(tmp_path / "images" / f"{number:02d}.png")

    def write(*lines: str, header: str = "file,diagnosis") -> Path:
        path = tmp_path / "labels.csv"
        path.write_text("\n".join([header, *lines]) + "\n", "utf-8")
        return path

    return write


def sound_rows(count: int = 24) -> list[str]:
    return [f"{number:02d}.png,{'ab'[number % 2]}" for number in range(count)]


def test_a_missing_column_is_told_with_the_nearest(cli: Run, table: Any, tmp_path: Path) -> None:
    path = table(*sound_rows())
    for key in ("label_column", "image_column", "group_column", "split_column"):
        outcome = cli("run", path, "--out", tmp_path / "run", settings={f"reader.{key}": "diagnose"})
        check_refused(outcome, f"reader.{key}", "'diagnose'", "did you mean 'diagnosis'?")


def test_labels_that_match_no_file(cli: Run, table: Any, tmp_path: Path) -> None:
    nowhere = [f"scan_{number}.png,{'ab'[number % 2]}" for number in range(9)]
    check_refused(cli("run", table(*nowhere), "--out", tmp_path / "run"), "no column leads to image files", "scan_0")


def test_some_labels_that_match_no_file(cli: Run, table: Any, tmp_path: Path) -> None:
    path = table(*sound_rows(), "gone.png,a", "away.png,b")
    outcome = cli("run", path, "--out", tmp_path / "run")
    check_told_before_training(outcome, "2 files left out (no such file): row 26: gone.png, row 27: away.png")
    assert skipped(tmp_path / "run") == {"row 26: gone.png": "no such file", "row 27: away.png": "no such file"}
    assert len(split_of(tmp_path / "run")) == 24
    check_refused(cli("run", path, "--out", tmp_path / "strict", "--strict"), "--strict: 2 files left out", "gone.png")


def test_contradictory_rows(cli: Run, table: Any, tmp_path: Path) -> None:
    path = table(*sound_rows(), "03.png,a")
    outcome = cli("run", path, "--out", tmp_path / "run")
    check_told_before_training(outcome, "the rows give one image different labels", "rows 5, 26: 03.png")
    assert "03.png" not in split_of(tmp_path / "run")
    check_refused(cli("run", path, "--out", tmp_path / "strict", "--strict"), "--strict: 1 file left out", "03.png")


def test_one_picture_under_two_labels(cli: Run, data: Path, tmp_path: Path) -> None:
    (data / "light" / "copy.png").write_bytes((data / "dark" / "05.png").read_bytes())
    outcome = cli("run", data, "--out", tmp_path / "run")
    check_told_before_training(
        outcome, "warning: 1 picture with pixel-identical copies under different labels: dark/05.png is dark"
    )
    assert set(skipped(tmp_path / "run")) == {"dark/05.png", "light/copy.png"}
    assert not {"dark/05.png", "light/copy.png"} & set(split_of(tmp_path / "run"))
    outcome = cli("run", data, "--out", tmp_path / "other", settings={"checks.conflicts": "error"})
    check_refused(outcome, "pixel-identical copies under different labels", "checks.conflicts=leave_out")
    check_refused(cli("run", data, "--out", tmp_path / "strict", "--strict"), "--strict: 1 picture")


# ---------------------------------------------------------------- kinds of images


def test_kinds_of_images_reach_the_network_as_they_look(cli: Run, prepared: Any, tmp_path: Path, data: Path) -> None:
    expected = odd_images(data / "odd")
    check_told_before_training(cli("run", data, "--out", tmp_path / "run"), "all 33 images can be read")
    found = prepared(data, {"checks.constant": "keep", "checks.two_valued": "keep"})
    for name, (pixels, tolerance) in expected.items():
        row = found.index.samples.index(f"odd/{name}")
        stored = found.store.take(np.array([row]))[0]
        np.testing.assert_allclose(stored.astype(float), pixels, atol=tolerance + 0.5, err_msg=name)
    assert turned_corner(found) == pytest.approx(160, abs=4)


def turned_corner(found: Any) -> int:
    """The upper left pixel of the turned image: below the two greys 20 and 90 lie 160 and 230."""
    return int(found.store.take(np.array([found.index.samples.index("odd/turned.jpg")]))[0, 0, 0, 0])


def test_linked_images_count_once_in_a_split(cli: Run, data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    draw(elsewhere, count=3, level=90)
    for number in range(3):
        for copy in "xy":
            (data / "dark" / f"{copy}{number}.png").symlink_to(elsewhere / f"{number:02d}.png")
    outcome = cli("run", data, "--out", tmp_path / "run")
    check_told_before_training(
        outcome,
        "3 pictures more than once (3 surplus images; all as byte-identical files); a split keeps them together",
    )
    parts = split_of(tmp_path / "run")
    assert len(parts) == 30
    assert all(parts[f"dark/x{n}.png"] == parts[f"dark/y{n}.png"] for n in range(3))


# ---------------------------------------------------------------- names

NAMES = [
    "a b (1)%.png", "größe 日本.png", "it's \"quoted\".png", "semi;colon,comma.png", "<i>&amp;.png", "[red]x.png",
    "new\nline.png", "%s {0} \\n.png", "-dash.png", " lead.png", "dots..png",
]  # fmt: skip


def test_odd_file_names(cli: Run, data: Path, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        Image.fromarray(noise(60, 100 + number)).save(data / "dark" / name)
    (data / "dark" / os.fsdecode(b"caf\xe9.png")).write_bytes((data / "dark" / "00.png").read_bytes())
    out = tmp_path / "run (1) %"
    outcome = cli("run", data, "--out", out)
    check_told_before_training(outcome, "1 file left out (its name is not valid UTF-8): dark/caf")
    assert {f"dark/{name}" for name in NAMES} < set(split_of(out))
    assert "<i>&amp;.png" not in (out / "report.html").read_text("utf-8").replace("&lt;i&gt;&amp;amp;.png", "")
    files = [data / "dark" / name for name in NAMES]
    assert cli("predict", out, *files, "--out", out / "new.csv").code == 0
    with (out / "new.csv").open(encoding="utf-8", newline="") as file:
        assert [row["sample"] for row in csv.DictReader(file)] == list(map(str, files))
    assert cli("explain", out, *files, "--out", out / "maps").code == 0
    assert len(list((out / "maps").glob("*.png"))) == len(NAMES)


def test_odd_class_names(cli: Run, tmp_path: Path) -> None:
    classes = ["<b>x", "a,b", "[bold]y", "slash\\like", "frac⁄tion", "per%cent"]
    for number, name in enumerate(classes):
        draw(tmp_path / "data" / name, count=8, level=50 + 30 * number)
    out = tmp_path / "run"
    assert cli("run", tmp_path / "data", "--out", out).code == 0
    assert set(metrics(out)["per_class"]) == set(classes)
    with (out / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["sample", *sorted(classes)]
    page = (out / "report.html").read_text("utf-8")
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    image = next((tmp_path / "data" / "<b>x").iterdir())
    table = csv.reader(io.StringIO(cli("predict", out, image).out))
    head = next(table)
    assert head[: len(classes) + 1] == ["sample", *sorted(classes)]
    assert all(name.startswith("medplug:") for name in head[len(classes) + 1 :])
