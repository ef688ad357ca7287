"""``medplug run`` and ``predict`` on what real folders hold: every flaw has a decided outcome, told before training."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]
EDGE = 16  # pixels, what the network sees: images of this size reach it as they are


def noise(level: int, seed: int, shape: tuple[int, ...] = (EDGE, EDGE)) -> np.ndarray:
    return np.random.default_rng([level, seed]).integers(level - 40, level + 40, shape, np.uint8)


def draw(folder: Path, count: int = 12, level: int = 60) -> None:
    """So many grey PNG files named 00.png, 01.png … in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(noise(level, number)).save(folder / f"{number:02d}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes with 12 sound images each."""
    draw(tmp_path / "data" / "dark", level=60)
    draw(tmp_path / "data" / "light", level=180)
    return tmp_path / "data"


def check_refused(outcome: Any, *words: str) -> None:
    """Exit code 2, and one message, in the last line, that holds the words."""
    assert outcome.code == 2, outcome
    *news, message = outcome.err.splitlines()
    assert message.startswith("medplug: error: ")
    assert not any("error" in line for line in news)
    for word in words:
        assert word in message


def check_told_before_training(outcome: Any, *words: str) -> None:
    """The run succeeded, and the words were said before the first epoch."""
    assert outcome.code == 0, outcome.err
    before, trained, _ = outcome.err.partition("  full   1/1 ")
    assert trained
    for word in words:
        assert word in before


def metrics(out: Path) -> dict[str, Any]:
    return json.loads((out / "metrics.json").read_text("utf-8"))["test"]


def split_of(out: Path) -> dict[str, str]:
    with (out / "split.csv").open(encoding="utf-8", newline="") as file:
        return {row["sample"]: row["split"] for row in csv.DictReader(file)}


def skipped(out: Path) -> dict[str, str]:
    return {s["name"]: s["reason"] for s in json.loads((out / "checks.json").read_text("utf-8"))["skipped"]}


# ---------------------------------------------------------------- nothing to learn from


def test_an_empty_folder(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    check_refused(cli("run", tmp_path / "none", "--out", tmp_path / "run"), "the folder is empty")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_there(cli: Run, tmp_path: Path) -> None:
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


def text_named_png(path: Path) -> None:
    path.with_suffix(".png").write_text("no image")


def truncated_jpeg(path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(100, 0, (64, 64, 3))).save(stream, "JPEG")
    path.with_suffix(".jpg").write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])


def empty_file(path: Path) -> None:
    path.with_suffix(".png").touch()


def damaged_png(path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(100, 0)).save(stream, "PNG")
    raw = bytearray(stream.getvalue())
    raw[60] ^= 255
    path.with_suffix(".png").write_bytes(raw)


def bomb(edge: int) -> Callable[[Path], None]:
    """A sound PNG of some kilobytes that unpacks to ``edge`` x ``edge`` black pixels of one bit."""

    def write(path: Path) -> None:
        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        header = struct.pack(">IIBBBBB", edge, edge, 1, 0, 0, 0, 0)
        rows = zlib.compress(bytes(edge * (1 + (edge + 7) // 8)), 1)
        raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
        path.with_suffix(".png").write_bytes(raw)

    return write


def broken_link(path: Path) -> None:
    path.with_suffix(".png").symlink_to("nowhere.png")


UNREADABLE = [
    (text_named_png, "not an image file"),
    (truncated_jpeg, "damaged or truncated"),
    (empty_file, "not an image file"),
    (damaged_png, "damaged or truncated"),
    (bomb(20_000), "pixels exceed the limit of 89,478,485"),
    (bomb(10_000), "10000x10000 pixels exceed the limit of 89,478,485"),  # of such a size Pillow only warns
    (broken_link, "the file does not exist"),
]


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


def quarters() -> np.ndarray:
    """Four grey quarters, one JPEG block each: 20, 90 above 160, 230."""
    return np.kron(np.array([[20, 90], [160, 230]], np.uint8), np.ones((8, 8), np.uint8))


def odd_images(folder: Path) -> dict[str, tuple[np.ndarray, float]]:
    """Files of every kind, with the pixels that must reach the network, by hand, and a tolerance."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    expected: dict[str, tuple[np.ndarray, float]] = {}

    def keep(name: str, image: Image.Image, pixels: np.ndarray, tolerance: float = 0, **options: Any) -> None:
        image.save(folder / name, **options)
        expected[name] = np.broadcast_to(pixels, (EDGE, EDGE, 3)), tolerance

    indices = rng.integers(0, 3, (EDGE, EDGE), np.uint8)
    colours = np.array([[250, 10, 30], [0, 200, 90], [5, 6, 250]], np.uint8)
    paletted = Image.fromarray(indices, "P")
    paletted.putpalette(colours.tobytes())
    keep("palette.png", paletted, colours[indices])
    keep("moving.gif", paletted, colours[indices], save_all=True, append_images=[Image.new("RGB", (EDGE, EDGE))])
    ramp = np.linspace(0, 65535, EDGE * EDGE).astype(np.uint16).reshape(EDGE, EDGE)
    keep("sixteen.png", Image.fromarray(ramp), ramp[..., None] / 257, 1)
    twelve = ramp // 16
    keep("twelve.png", Image.fromarray(twelve), twelve[..., None] * (255 / 4095), 1)
    keep("twelve.tif", Image.fromarray(twelve.T.copy()), twelve.T[..., None] * (255 / 4095), 1)
    ink = np.zeros((EDGE, EDGE, 4), np.uint8)
    ink[:, 8:] = (0, 255, 255, 0)  # magenta and yellow make red, no ink leaves white
    red = np.where(np.arange(EDGE)[None, :, None] < 8, 255, np.array([255, 0, 0]))
    keep("ink.jpg", Image.fromarray(ink, "CMYK"), red, 12, quality=95, subsampling=0)
    rgba = rng.integers(0, 256, (EDGE, EDGE, 4), np.uint8)
    keep("alpha.png", Image.fromarray(rgba), rgba[..., :3] * (rgba[..., 3:] / 255), 1)
    bits = rng.integers(0, 2, (EDGE, EDGE), np.uint8)
    keep("bits.png", Image.fromarray(bits * 255).convert("1"), 255 * bits[..., None])
    exif = Image.Exif()
    exif[274] = 6  # "turn it right by 90 degrees to look at it"
    turned = np.rot90(quarters(), -1)[..., None]
    keep("turned.jpg", Image.fromarray(quarters()), turned, 4, exif=exif, quality=95)
    return expected


def test_kinds_of_images_reach_the_network_as_they_look(cli: Run, prepared: Any, tmp_path: Path, data: Path) -> None:
    expected = odd_images(data / "odd")
    check_told_before_training(cli("run", data, "--out", tmp_path / "run"), "all 33 images can be read")
    found = prepared(data)
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
    check_told_before_training(outcome, "3 pictures more than once (3 surplus images); copies share a split")
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
    assert next(table) == ["sample", *sorted(classes)]


# ---------------------------------------------------------------- predicting


@pytest.fixture(scope="module")
def finished(tiny_plugin: str, shared_cache: None, open_folder: Path) -> Path:
    """A run of the two classes; tests that change it work on a copy."""
    from medplug import Pipeline
    from medplug.plugins.localfile import add_file
    from medplug.plugins.registry import registry
    from medplug.progress import Reporter

    add_file(registry(), tiny_plugin)
    for name, level in (("dark", 60), ("light", 180)):
        draw(open_folder / "data" / name, level=level)
    settings = {"architecture.channels": "3", "training.epochs": 1, "training.frozen_epochs": 0, "augment.use": ""}
    settings |= {"training.batch_size": 8, "evaluation.resamples": 50}
    pipeline = Pipeline(architecture="tiny_net", settings=settings, size=EDGE, reporter=Reporter(quiet=True))
    return pipeline.fit(open_folder / "data", out=open_folder / "run").folder


def test_predict_names_what_it_cannot_read_and_goes_on(cli: Run, finished: Path, tmp_path: Path) -> None:
    draw(tmp_path, count=2)
    for number, (make, _) in enumerate(UNREADABLE):
        make(tmp_path / f"bad{number}")
    outcome = cli("predict", finished, tmp_path)
    assert outcome.code == 0
    names = [row["sample"] for row in csv.DictReader(io.StringIO(outcome.out))]
    assert names == [str(tmp_path / "00.png"), str(tmp_path / "01.png")]
    for number, (_, reason) in enumerate(UNREADABLE):
        [line] = [line for line in outcome.err.splitlines() if f"bad{number}." in line]
        assert reason in line
    outcome = cli("explain", finished, tmp_path, "--out", tmp_path / "maps")
    assert outcome.code == 0
    assert outcome.err.count("is left out") == len(UNREADABLE)
    assert len(list((tmp_path / "maps").glob("*.png"))) == 2


def test_predict_where_nothing_can_be_read(cli: Run, finished: Path, tmp_path: Path) -> None:
    text_named_png(tmp_path / "a")
    check_refused(cli("predict", finished, tmp_path / "a.png"), "no image can be read", "a.png (not an image file")
    check_refused(cli("predict", finished, tmp_path / "gone.png"), "no image can be read", "does not exist")
    (tmp_path / "empty").mkdir()
    check_refused(cli("predict", finished, tmp_path / "empty"), "no image can be read")
    check_refused(cli("explain", finished, tmp_path / "a.png"), "no image can be read")


def test_predicted_kinds_of_images_look_as_in_training(cli: Run, finished: Path, tmp_path: Path) -> None:
    """A 16-bit file is predicted as the 8-bit file that looks the same."""
    expected = odd_images(tmp_path / "odd")
    pixels = np.round(expected["sixteen.png"][0]).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "eight.png")
    outcome = cli("predict", finished, tmp_path / "odd" / "sixteen.png", tmp_path / "eight.png")
    sixteen, eight = ([float(row[c]) for c in ("dark", "light")] for row in csv.DictReader(io.StringIO(outcome.out)))
    assert sixteen == pytest.approx(eight, abs=1e-3)
    assert cli("predict", finished, tmp_path / "odd").out.count("\n") == 1 + len(expected)


def test_names_that_are_not_utf8(cli: Run, finished: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Their bytes pass through: what `predict` writes leads back to the file."""
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    draw(tmp_path, count=1)
    (tmp_path / "00.png").rename(path)
    assert cli("predict", finished, path, "--out", tmp_path / "p.csv").code == 0
    assert os.fsencode(path) in (tmp_path / "p.csv").read_bytes()
    for command in (["predict", finished, path], ["explain", finished, path, "--out", tmp_path / "maps"]):
        raw = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(raw, "utf-8"))  # as strict as a real one
            assert cli(*command).code == 0
            sys.stdout.flush()
            assert os.fsencode(path) in raw.getvalue()
    listing = json.loads((tmp_path / "maps" / "explanations.json").read_text("utf-8"))
    assert listing[0]["sample"] == str(path)


def test_a_data_folder_whose_name_is_not_utf8(cli: Run, data: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"d\xe9j\xe0 vu")
    data.rename(odd)
    assert cli("run", odd, "--out", tmp_path / "run").code == 0
    assert json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))["source"] == str(odd)
    assert cli("explain", tmp_path / "run").code == 0


# ---------------------------------------------------------------- folders of runs


def copied(finished: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_a_folder_that_is_no_run(cli: Run, finished: Path, data: Path, tmp_path: Path) -> None:
    image = data / "dark" / "00.png"
    check_refused(cli("predict", tmp_path / "gone", image), "is no finished run", "there is no such folder")
    check_refused(cli("predict", data, image), "is no finished run", "model.json is missing")
    check_refused(cli("explain", data, image), "is no finished run")
    check_refused(cli("predict", image, image), "is no finished run")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model.json", b"{ half", "model.json is damaged"),
        ("model.json", b"[1, 2]", "model.json is damaged"),
        ("model.json", b'{"format": 1}', "model.json is damaged"),
        ("model.json", b"\xff\xfe\x00", "model.json is damaged"),
        ("model.json", b'{"format": 99, "medplug": "9.9"}', "written by another version of medplug (9.9)"),
        ("weights.safetensors", b"no weights", "weights.safetensors cannot be read"),
        ("weights.safetensors", b"", "weights.safetensors cannot be read"),
    ],
)
def test_a_damaged_run(
    file: str, content: bytes, words: str, cli: Run, finished: Path, data: Path, tmp_path: Path
) -> None:
    run = copied(finished, tmp_path)
    (run / file).write_bytes(content)
    check_refused(cli("predict", run, data / "dark" / "00.png"), words)


def test_weights_that_are_missing_or_cut(cli: Run, finished: Path, data: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    image, run = data / "dark" / "00.png", copied(finished, tmp_path)
    weights = run / "weights.safetensors"
    raw = weights.read_bytes()
    weights.write_bytes(raw[: len(raw) // 2])
    check_refused(cli("predict", run, image), "weights.safetensors cannot be read")
    weights.write_bytes(raw)
    arrays = load_file(weights)
    del arrays["head/bias"]
    save_file(arrays, weights)
    check_refused(cli("predict", run, image), "the weights do not fit the network", "missing: head/bias")
    weights.unlink()
    check_refused(cli("predict", run, image), "weights.safetensors cannot be read")


def test_a_run_whose_data_are_gone(cli: Run, finished: Path, tmp_path: Path) -> None:
    """Predicting needs nothing but the run folder; explaining its test images needs those."""
    run = copied(finished, tmp_path)
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    (run / "manifest.json").write_text(json.dumps({**manifest, "argument": str(tmp_path / "moved")}), "utf-8")
    check_refused(cli("explain", run), "no such folder", "moved")
    draw(tmp_path / "new", count=1)
    assert cli("predict", run, tmp_path / "new").code == 0


# ---------------------------------------------------------------- places


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may read and write everything; so for a while this process has the rights of nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_an_output_folder_that_cannot_be_written(cli: Run, finished: Path, open_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_refused(cli("run", open_folder / "data", "--out", tmp_path / "file"), "is a file")
    check_refused(cli("run", open_folder / "data", "--out", tmp_path / "file" / "run"), "--out", "cannot be written")
    locked = open_folder / "locked"
    locked.mkdir(mode=0o555)
    assert cli("run", open_folder / "data", "--out", tmp_path / "sound").code == 0  # and everything is imported
    with ordinary_user():
        for out in (locked, locked / "a" / "b"):
            check_refused(cli("run", open_folder / "data", "--out", out), "--out", "cannot be written")
        image = open_folder / "data" / "dark" / "00.png"
        outcome = cli("predict", finished, image, "--out", locked / "p.csv")
        assert outcome.code != 0
        assert "Permission denied" in outcome.err


def test_data_without_permission(cli: Run, data: Path, open_folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    import shutil

    assert cli("run", data, "--out", tmp_path / "sound").code == 0  # and everything is imported
    private = open_folder / "private"
    shutil.copytree(data, private / "data")
    closed = [private / "data" / "dark" / "00.png", private / "data" / "hidden_class"]
    draw(closed[1], count=2)
    for path in closed:
        path.chmod(0o000)
    with ordinary_user():
        check_refused(cli("run", private / "data", "--out", open_folder / "nowhere"), "--out", "cannot be written")
    (open_folder / "mine").mkdir()
    (open_folder / "mine").chmod(0o777)
    monkeypatch.setenv("MEDPLUG_CACHE", str(open_folder / "mine" / "cache"))
    with ordinary_user():
        outcome = cli("run", private / "data", "--out", open_folder / "mine" / "run", "--strict")
    check_refused(outcome, "--strict:", "cannot be opened: Permission denied")
    private.chmod(0o000)
    try:
        with ordinary_user():
            for source in (private / "data", f"folder:{private / 'data'}", f"csv:{private / 'labels.csv'}"):
                outcome = cli("run", source, "--out", open_folder / "mine" / "run")
                check_refused(outcome, str(private), "cannot be opened: Permission denied")
    finally:
        private.chmod(0o755)
        closed[1].chmod(0o755)
