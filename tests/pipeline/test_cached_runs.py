"""Runs on the cache: images that change or go, sampling, and what a second run reads."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medplug.errors import DataError, RunError
from medplug.plugins import Index, component, load_image
from medplug.progress import Reporter
from medplug.train.loop import Trainer


@component
class Pictures:
    """PNG files whose names begin with their class."""

    loads_files = True
    loads = []  # noqa: RUF012

    def can_read(self, source):
        return 0.0

    def index(self, source):
        paths = sorted(Path(source).glob("*.png"))
        labels = np.array([int(p.name[0]) for p in paths])
        weights = np.array([str(1 + label) for label in labels])
        return Index(
            tuple(p.name for p in paths), tuple(map(str, paths)), np.eye(2, dtype=np.float32)[labels], ("no", "yes"),
            metadata={"weight": weights},
        )  # fmt: skip

    def load(self, uri):
        self.loads.append(Path(uri).name)
        return load_image(uri)


@pytest.fixture
def folder(tmp_path, rng):
    (tmp_path / "data").mkdir()
    Pictures.loads.clear()
    for number in range(48):
        pixels = rng.integers(0, 90, (16, 16), dtype=np.uint8)
        pixels[:8] += 120 * np.uint8(number % 4 == 0)
        Image.fromarray(pixels).save(tmp_path / "data" / f"{int(number % 4 == 0)}-{number:02d}.png")
    return tmp_path / "data"


def test_a_second_run_reads_one_image_and_those_that_it_draws(pipeline, folder, tmp_path):
    first = pipeline(reader=Pictures()).fit(str(folder), out=tmp_path / "a")
    assert set(Pictures.loads) == {p.name for p in folder.iterdir()}
    Pictures.loads.clear()
    second = pipeline(reader=Pictures()).fit(str(folder), out=tmp_path / "b")
    drawn = [
        entry["sample"]
        for part in ("explanations", "errors")
        for entry in json.loads((second.folder / part / "explanations.json").read_text())
    ]
    assert sorted(Pictures.loads) == sorted(["0-01.png", *drawn])
    for name in ("weights.safetensors", "checks.json", "split.csv"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_images_that_go_while_the_run_trains_do_not_end_it(pipeline, folder, tmp_path, capsys):
    class Vandal:
        def run_started(self, run):
            for path in folder.glob("1-*.png"):
                path.unlink()

    made = replace(pipeline(reader=Pictures(), observers=[Vandal()]), reporter=Reporter())
    done = made.fit(str(folder), out=tmp_path / "run")
    told = capsys.readouterr().err
    assert (done.folder / "report.html").exists()
    assert "can no longer be read (the file does not exist): its map is drawn over the input" in told
    drawn = json.loads((done.folder / "explanations" / "explanations.json").read_text())
    assert any(entry["sample"].startswith("1-") for entry in drawn)


def test_a_run_on_images_that_have_changed_is_not_resumed(pipeline, folder, tmp_path):
    pipeline(reader=Pictures()).fit(str(folder), out=tmp_path / "run")
    Image.fromarray(np.full((16, 16), 9, np.uint8) + np.arange(16, dtype=np.uint8)).save(folder / "0-01.png")
    with pytest.raises(RunError, match="other data"):
        pipeline(reader=Pictures()).fit(str(folder), out=tmp_path / "run", resume=True)


# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize(("sampling", "share"), [("uniform", 0.25), ("balanced", 0.5), ("weighted", 0.4)])
def test_sampling_reaches_the_loss_and_the_steps(pipeline, folder, tmp_path, sampling, share, monkeypatch):
    """48 images of which a quarter are positive, with twice the weight of the others."""
    seen, counts = [], []

    def notes(self, *arguments, **options):
        counts.append(np.asarray(self.class_counts))
        for epoch in range(1, 21):
            batches = self.train.epoch(epoch, shuffle="samples", last_batch="keep")
            seen.extend(float(b.targets[:, 1].sum()) for b in batches)
        raise RunError("enough")

    monkeypatch.setattr(Trainer, "fit", notes)
    settings = {"training.sampling": sampling}
    if sampling == "weighted":
        settings["training.sampling_column"] = "weight"
    with pytest.raises(RunError, match="enough"):
        pipeline(reader=Pictures(), settings=settings).fit(str(folder), out=tmp_path / "run")
    [table] = counts
    n = table[0].sum()
    np.testing.assert_allclose(table[1] / n, [share, 1 - share], atol=0.03)
    assert sum(seen) / (20 * n) == pytest.approx(share, abs=0.03)


def test_a_column_of_weights_that_is_not_there_is_told_at_once(pipeline, folder, tmp_path):
    settings = {"training.sampling": "weighted", "training.sampling_column": "wieght"}
    with pytest.raises(DataError, match=r"no such column \(columns: weight\)"):
        pipeline(reader=Pictures(), settings=settings).fit(str(folder), out=tmp_path / "run")
    assert Pictures.loads == []


def test_a_run_with_sampling_resumes_only_with_the_same(pipeline, folder, tmp_path):
    settings = {"training.sampling": "balanced"}
    pipeline(reader=Pictures(), settings=settings).fit(str(folder), out=tmp_path / "run")
    with pytest.raises(RunError, match="other training settings"):
        pipeline(reader=Pictures()).fit(str(folder), out=tmp_path / "run", resume=True)
