"""Every form of DATA from end to end, and the facts that are known of real sets (where ``MEDPLUG_DATA`` names them)."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_helpers import Run, rows_of, write_table
from PIL import Image

FILES = {
    "config.toml", "plan.json", "manifest.json", "checks.json", "split.csv", "history.csv", "checkpoints", "weights.safetensors",
    "model.json", "predictions.csv", "predictions.validation.csv", "metrics.json", "report.html", "explanations",
    "analysis.json", "decision.json", "tables", "figures", "card.md", "checklist.md",
}  # fmt: skip
COUNT = 24


def noise(number: int) -> np.ndarray:
    level = 60 + 100 * (number % 2)
    return np.random.default_rng(number).integers(level - 40, level + 40, (18, 20), np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """24 files images/00.png … of which the odd ones are lighter."""
    (tmp_path / "images").mkdir()
    for number in range(COUNT):
        Image.fromarray(noise(number)).save(tmp_path / "images" / f"{number:02d}.png")
    return tmp_path


def names() -> list[str]:
    return [f"{number:02d}.png" for number in range(COUNT)]


def classes() -> list[str]:
    return ["dark" if number % 2 == 0 else "light" for number in range(COUNT)]


def check_run(out: Path, more: Iterable[str] = ()) -> dict[str, Any]:
    """All files are there and tell the same story; returns the figures of the test split."""
    # Where no error was made there is no folder of errors, where validation is tiny no reference, without groups no table.
    sometimes = {"errors", "novelty.safetensors", "predictions.groups.csv"}
    assert {p.name for p in out.iterdir()} - sometimes == FILES | set(more)
    split = rows_of(out / "split.csv")
    test = [row["sample"] for row in split if row["split"] == "test"]
    assert [row["sample"] for row in rows_of(out / "predictions.csv")] == test
    figures = json.loads((out / "metrics.json").read_text("utf-8"))["test"]
    assert figures["n"] == len(test)
    assert {"roc_auc", "accuracy", "balanced_accuracy", "f1", "sensitivity", "brier", "ece"} <= set(figures["macro"])
    assert {row["split"] for row in split} <= {"train", "validation", "test", ""}
    assert len(rows_of(out / "history.csv")) == 1
    assert tomllib.loads((out / "config.toml").read_text("utf-8"))["training"]["epochs"] == 1
    page = (out / "report.html").read_text("utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert list((out / "explanations").glob("*.png"))
    return figures


# ---------------------------------------------------------------- forms of DATA


@pytest.mark.parametrize("form", ["{}", "folder:{}"])
def test_a_folder(form: str, cli: Run, images: Path, tmp_path: Path) -> None:
    for name, label in zip(names(), classes(), strict=True):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        (images / "images" / name).rename(tmp_path / "data" / label / name)
    out = tmp_path / "run"
    assert cli("run", form.format(tmp_path / "data"), "--out", out).code == 0
    figures = check_run(out)
    assert list(figures["per_class"]) == ["dark", "light"]
    assert {row["sample"] for row in rows_of(out / "split.csv")} == {
        f"{label}/{name}" for name, label in zip(names(), classes(), strict=True)
    }


@pytest.mark.parametrize("form", ["{}", "csv:{}"])
def test_a_table_whose_columns_are_guessed_and_the_guess_is_shown(form: str, cli: Run, images: Path) -> None:
    table = write_table(images / "labels.csv", {"scan": names(), "finding": classes(), "age": range(COUNT)})
    outcome = cli("run", form.format(table), "--out", images / "run")
    assert outcome.code == 0
    before, _, _ = outcome.err.partition("  full   1/1 ")
    assert "images from column 'scan' (guessed), in folder images/ (guessed)" in before
    assert "label from column 'finding' (guessed by its name)" in before
    check_run(images / "run")
    labels = {row["sample"]: row["label"] for row in rows_of(images / "run" / "split.csv")}
    assert labels == dict(zip(names(), classes(), strict=True))


def test_the_stored_configuration_repeats_a_run(cli: Run, images: Path) -> None:
    """Named columns are part of the configuration, so DATA is all that has to be said again."""
    columns = {"a": names(), "b": classes(), "c": classes()[1:] + classes()[:1]}
    table = write_table(images / "labels.csv", columns)
    settings = {"reader.image_column": "a", "reader.label_column": "c", "training.epochs": "1"}
    assert cli("run", table, "--out", images / "first", "--seed", "3", settings=settings).code == 0
    from medplug.cli.main import main

    again = ["run", str(table), "--recipe", str(images / "first" / "config.toml"), "--out", str(images / "again")]
    assert main(again) == 0
    for name in ("split.csv", "metrics.json", "weights.safetensors", "predictions.csv"):
        assert (images / "first" / name).read_bytes() == (images / "again" / name).read_bytes()


def test_a_short_option_keeps_the_parameters_that_are_set_beside_it(cli: Run, images: Path, tiny_plugin: str) -> None:
    from medplug.cli.main import main

    table = write_table(images / "labels.csv", {"file": names(), "label": classes()})
    command = ["run", str(table), "--out", str(images / "run"), "--architecture", "tiny_net", "--plugin", tiny_plugin]
    told = cli(*command[:-2], settings={"architecture.width": "5"}).err
    assert "for an input of 16 x 16 x 3" in told
    assert main([*command, "--resume"]) == 0  # the same name again drops none of the stored parameters either
    card = json.loads((images / "run" / "model.json").read_text("utf-8"))
    assert card["parameters"]["width"] == 5
    assert card["parameters"]["channels"] == 3


def test_several_columns_of_labels(cli: Run, images: Path) -> None:
    flags = np.array([[n % 2, n % 3 == 0, n % 4 == 0] for n in range(COUNT)], int)
    columns = {"file": names(), "bright": flags[:, 0], "third": flags[:, 1], "fourth": flags[:, 2]}
    table = write_table(images / "labels.csv", columns)
    settings = {"reader.label_column": "third,bright"}
    outcome = cli("run", table, "--out", images / "run", settings=settings)
    assert outcome.code == 0
    assert "2 classes (multilabel)" in outcome.err
    figures = check_run(images / "run")
    assert list(figures["per_class"]) == ["third", "bright"]
    rows = rows_of(images / "run" / "split.csv")
    assert [(row["label:third"], row["label:bright"]) for row in rows] == [(str(t), str(b)) for b, t, _ in flags]
    predicted = rows_of(images / "run" / "predictions.csv")
    assert any(abs(float(row["third"]) + float(row["bright"]) - 1) > 1e-3 for row in predicted)  # sigmoid, no softmax
    exact = np.mean(
        [
            all(
                (float(row[c]) >= 0.5) == bool(flags[int(row["sample"][:2]), k])
                for c, k in (("bright", 0), ("third", 1))
            )
            for row in predicted
        ]
    )
    assert figures["macro"]["accuracy"]["value"] == pytest.approx(exact)


def test_one_hot_columns_are_one_class_an_image(cli: Run, images: Path) -> None:
    light = [number % 2 for number in range(COUNT)]
    columns = {"file": names(), "dark": [1 - n for n in light], "light": light}
    outcome = cli("run", write_table(images / "labels.csv", columns), "--out", images / "run")
    assert outcome.code == 0
    assert "2 classes (multiclass)" in outcome.err
    check_run(images / "run")
    for row in rows_of(images / "run" / "predictions.csv"):
        assert float(row["dark"]) + float(row["light"]) == pytest.approx(1)


def test_a_group_column_is_never_torn_apart(cli: Run, images: Path) -> None:
    pairs = [f"P{number // 2}" for number in range(COUNT)]
    table = write_table(images / "labels.csv", {"file": names(), "label": classes(), "who": pairs})
    settings = {"reader.group_column": "who"}
    outcome = cli("run", table, "--out", images / "run", settings=settings)
    assert outcome.code == 0
    rows = rows_of(images / "run" / "split.csv")
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["group:who"], set()).add(row["split"])
    assert len(parts) == COUNT // 2
    assert all(len(found) == 1 for found in parts.values())
    assert "groups" in check_run(images / "run")["macro"]["roc_auc"]["method"]
    shared = json.loads((images / "run" / "checks.json").read_text("utf-8"))["shared_between_parts"]
    assert shared == {"who": 0, "duplicate clusters": 0}


def test_a_given_split_is_kept_or_pooled(cli: Run, images: Path) -> None:
    given = ["test" if n < 6 else "val" if n < 10 else "train" for n in range(COUNT)]
    table = write_table(images / "labels.csv", {"file": names(), "label": classes(), "part": given})
    settings = {"reader.split_column": "part"}
    assert cli("run", table, "--out", images / "run", settings=settings).code == 0
    check_run(images / "run")
    kept = [row["split"] for row in rows_of(images / "run" / "split.csv")]
    assert kept == [{"val": "validation"}.get(part, part) for part in given]
    settings |= {"split.given": "pool"}
    assert cli("run", table, "--out", images / "pooled", settings=settings).code == 0
    pooled = [row["split"] for row in rows_of(images / "pooled" / "split.csv")]
    assert pooled != kept
    assert pooled.count("test") == 5  # a fifth of 24, and not the six that were given


# ---------------------------------------------------------------- from Python


class Pandas:
    """As much of a pandas data frame as a pipeline needs."""

    def __init__(self, columns: dict[str, Iterable[object]]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def to_csv(self, path: Path, index: bool = True) -> None:
        assert not index
        write_table(Path(path), self._columns)


class Polars(Pandas):
    """As much of a polars data frame."""

    to_csv = None  # type: ignore[assignment]

    def write_csv(self, path: Path) -> None:
        write_table(Path(path), self._columns)


@pytest.fixture
def pipeline(shared_cache: None) -> Any:
    from medplug import Pipeline
    from medplug.progress import Reporter
    from medplug.testing.fakes import TinyNet

    settings = {"data.size": 16, "data.threads": 1, "training.epochs": 1, "training.frozen_epochs": 0}
    settings |= {"training.batch_size": 8, "evaluation.resamples": 50, "augment.use": "horizontal_flip"}
    return Pipeline(architecture=TinyNet(channels=3), settings=settings, reporter=Reporter(quiet=True))


@pytest.mark.parametrize("kind", [Pandas, Polars])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_frame(kind: type[Pandas], absolute: bool, pipeline: Any, images: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(images)  # relative paths start here
    paths = [str(images / "images" / name) if absolute else f"images/{name}" for name in names()]
    run = pipeline.fit(kind({"path": paths, "label": classes()}), out=images / "run")
    check_run(images / "run", more={"data.csv"})
    assert run.classes == ("dark", "light")
    rows = rows_of(images / "run" / "split.csv")
    assert {(row["sample"], row["label"]) for row in rows} == {
        (f"images/{name}", label) for name, label in zip(names(), classes(), strict=True)
    }
    test = [row["sample"] for row in rows if row["split"] == "test"]
    predicted = run.predict([images / name for name in test])
    stored = [[float(row[c]) for c in run.classes] for row in rows_of(images / "run" / "predictions.csv")]
    np.testing.assert_allclose(predicted.probabilities, stored, atol=1e-6)
    assert len(run.explain()) == 2


def test_a_frame_that_cannot_be_written_is_refused(pipeline: Any, tmp_path: Path) -> None:
    from medplug.plugins import DataError

    class Bare:
        columns = ("path", "label")

    with pytest.raises(DataError, match="Bare has columns but can be written neither by write_csv nor by to_csv"):
        pipeline.fit(Bare(), out=tmp_path / "run")


def test_arrays(pipeline: Any, tmp_path: Path) -> None:
    pictures = [noise(number) for number in range(COUNT)]
    run = pipeline.fit(pictures, classes(), out=tmp_path / "run", groups=[n // 2 for n in range(COUNT)])
    check_run(tmp_path / "run")
    assert run.classes == ("dark", "light")
    rows = rows_of(tmp_path / "run" / "split.csv")
    assert [row["label"] for row in rows] == classes()
    assert all(a["split"] == b["split"] for a, b in zip(rows[::2], rows[1::2], strict=True))
    test = [int(row["sample"]) for row in rows if row["split"] == "test"]
    stored = [[float(row[c]) for c in run.classes] for row in rows_of(tmp_path / "run" / "predictions.csv")]
    np.testing.assert_allclose(run.predict([pictures[n] for n in test]).probabilities, stored, atol=1e-6)
    assert run.evaluate() == run.metrics


def test_multi_label_arrays(pipeline: Any, tmp_path: Path) -> None:
    pictures = np.stack([noise(number) for number in range(COUNT)])[..., None]
    labels = np.array([[n % 2, n % 3 == 0] for n in range(COUNT)], float)
    labels[5, 1] = np.nan
    run = pipeline.fit(pictures, labels, out=tmp_path / "run")
    check_run(tmp_path / "run")
    assert (run.task, run.classes) == ("multilabel", ("0", "1"))
    assert rows_of(tmp_path / "run" / "split.csv")[5]["label:1"] == ""


# ---------------------------------------------------------------- real sets, where they are

real = pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")
SMALL = {"data.size": "32"}


def real_set(name: str) -> Path:
    return Path(os.environ["MEDPLUG_DATA"], name)


def parts_of(found: Any) -> dict[str, str]:
    return dict(zip(found.index.samples, found.split.names(len(found.index)), strict=True))


def texts(found: Any, level: str) -> str:
    return "\n".join(f.text for f in found.report.findings if f.level == level)


def check_groups(found: Any, column: str, groups: int) -> None:
    """So many groups, none of them in two parts."""
    cells, parts = found.index.groups[column], found.split.names(len(found.index))
    assert len(set(cells.tolist())) == groups
    places = {(cell, part) for cell, part in zip(cells.tolist(), parts, strict=True) if part}
    assert len(places) == len({cell for cell, _ in places})


@real
def test_ultrasound_has_one_picture_under_two_labels(prepared: Any) -> None:
    found = prepared(real_set("ultrasound"), SMALL)
    assert len(found.index) == 778
    assert {s.name for s in found.report.skipped} == {
        "benign/benign (433).jpg", "malignant/malignant (145).jpg", "labels.csv",
    }  # fmt: skip
    assert found.index.class_counts()[:, 0].tolist() == [436, 209, 133]
    assert "benign/benign (433).jpg is benign; malignant/malignant (145).jpg is malignant" in texts(found, "warning")
    shares = Counter(parts_of(found).values())
    assert [round(shares[p] / 778, 2) for p in ("train", "validation", "test")] == [0.7, 0.1, 0.2]


@real
def test_xray_patients_of_the_test_part_leave_training(prepared: Any) -> None:
    found = prepared(real_set("xray") / "labels.csv", SMALL)
    rows = rows_of(real_set("xray") / "labels.csv")
    patients = {part: {r["patient"] for r in rows if r["split"] == part} for part in ("train", "val", "test")}
    assert len(patients["train"] & patients["test"]) == 13
    tested = patients["test"]
    expected = {
        r["image"]: "" if r["split"] != "test" and r["patient"] in tested else r["split"].replace("val", "validation")
        for r in rows
    }
    assert len(expected) == 988
    assert parts_of(found) == expected
    assert "24 given train images share a group" in found.split.notes[0]
    check_groups(found, "patient", 569)


@real
def test_mri_training_images_with_a_copy_in_the_test_part_leave_training(prepared: Any) -> None:
    found = prepared(real_set("mri"), {**SMALL, "checks.near": "report"})
    assert len(found.index) == 930
    assert "Testing/meningioma/.ipynb_checkpoints/" in {s.name for s in found.report.skipped}
    assert found.index.classes == ("glioma", "meningioma", "notumor", "pituitary")
    uris = dict(zip(found.index.samples, found.index.uris, strict=True))
    content = {name: hashlib.sha256(Path(uri).read_bytes()).hexdigest() for name, uri in uris.items()}
    sides = {side: {n: h for n, h in content.items() if n.startswith(f"{side}/")} for side in ("Training", "Testing")}
    # 34 with the one in the hidden folder
    assert sum(h in sides["Training"].values() for h in sides["Testing"].values()) == 33
    leaks = {n for n, h in sides["Training"].items() if h in sides["Testing"].values()}
    parts = parts_of(found)
    assert {n for n, part in parts.items() if part == ""} == leaks
    assert {n for n, part in parts.items() if part == "test"} == set(sides["Testing"])
    assert {parts[n] for n in set(sides["Training"]) - leaks} == {"train", "validation"}
    by_content: dict[str, set[str]] = {}
    for name, digest in content.items():
        if parts[name]:
            by_content.setdefault(digest, set()).add(parts[name])
    assert all(len(places) == 1 for places in by_content.values())
    assert "no validation part" in found.split.notes[1]


@real
def test_ct_sources_are_not_torn_apart(prepared: Any) -> None:
    found = prepared(real_set("ct") / "labels.csv", SMALL)
    assert len(found.index) == 746
    check_groups(found, "source", 332)
    assert Counter(parts_of(found).values())["test"] == pytest.approx(149, abs=3)


@real
def test_dermatoscopy_has_ids_without_extension(prepared: Any) -> None:
    found = prepared(real_set("dermatoscopy") / "labels.csv", SMALL)
    counts = dict(zip(found.index.classes, found.index.class_counts()[:, 0].tolist(), strict=True))
    assert counts == {"akiec": 50, "bcc": 70, "bkl": 85, "df": 35, "mel": 85, "nv": 150, "vasc": 45}
    assert set(found.index.metadata) == {"dx_type", "age", "sex", "localization"}
    assert "ids without extension" in texts(found, "note")


@real
def test_microscopy_has_a_class_with_one_image(prepared: Any) -> None:
    found = prepared(real_set("microscopy") / "labels.csv", SMALL)
    assert found.index.class_counts()[:, 0].tolist() == [176, 53, 48, 22, 1]
    assert "class '5' has one image" in texts(found, "warning")
    [rare] = [s for s, t in zip(found.index.samples, found.index.targets, strict=True) if t[4] == 1]
    assert parts_of(found)[rare] == "train"
    parts = parts_of(found)
    assert parts["112.png"] == parts["139.png"]  # the same picture twice


@real
def test_retina_is_multi_label_and_keeps_patients_together(prepared: Any) -> None:
    found = prepared(real_set("retina") / "labels.csv", SMALL)
    assert (len(found.index), found.index.task) == (809, "multilabel")
    counts = dict(zip(found.index.classes, found.index.class_counts()[:, 0].tolist(), strict=True))
    assert counts == {"N": 379, "D": 213, "G": 48, "C": 38, "A": 35, "H": 20, "M": 28, "O": 101}
    check_groups(found, "patient_id", 422)
    for part in (found.split.train, found.split.validation, found.split.test):
        assert (found.index.targets[part].sum(0) > 0).all()
