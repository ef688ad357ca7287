"""Bad images, folders and files for ``predict`` and ``explain``, damaged runs, and places without permission."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_helpers import EDGE, UNREADABLE, Run, check_refused, draw, odd_images, text_named_png
from PIL import Image

# ---------------------------------------------------------------- new images


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
        ("model.json", b'{"format": 2}', "model.json is damaged"),
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
    assert cli("run", data, "--out", tmp_path / "sound").code == 0  # and everything is imported
    private = open_folder / "private"
    shutil.copytree(data, private / "data")
    closed = [private / "data" / "dark" / "00.png", private / "data" / "hidden_class"]
    draw(closed[1], count=2)
    for path in closed:
        path.chmod(0o000)
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
