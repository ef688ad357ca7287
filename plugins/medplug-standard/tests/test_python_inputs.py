"""What Python and ``predict`` take beyond folders and files: pairs, tables in memory, containers, lists."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.plugins import Index

COUNT = 24
CLASSES = ["dark" if number % 2 else "light" for number in range(COUNT)]


def picture(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return (rng.integers(0, 80, (18, 20)) + (30 if number % 2 else 150)).astype(np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "images"
    folder.mkdir()
    found = [folder / f"{number:02d}.png" for number in range(COUNT)]
    for number, path in enumerate(found):
        Image.fromarray(picture(number)).save(path)
    return found


@pytest.fixture
def pipeline(shared_cache: None) -> Any:
    from medplug import Pipeline
    from medplug.progress import Reporter
    from medplug.testing.fakes import TinyNet

    settings = {"data.size": 16, "data.threads": 1, "training.epochs": 1, "training.frozen_epochs": 0}
    settings |= {"training.batch_size": 8, "evaluation.resamples": 50, "augment.use": "horizontal_flip"}
    return Pipeline(architecture=TinyNet(channels=3), settings=settings, reporter=Reporter(quiet=True))


def split_of(run: Any) -> list[dict[str, str]]:
    with (run.folder / "split.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_pairs_of_paths_from_a_generator(pipeline: Any, files: list[Path], tmp_path: Path) -> None:
    def pairs() -> Iterator[tuple[Path, str]]:
        yield from zip(files, CLASSES, strict=True)

    parts = ["train"] * 12 + ["val"] * 6 + ["test"] * 6
    run = pipeline.fit(pairs(), out=tmp_path / "run", splits=parts, metadata={"age": range(COUNT)})
    rows = split_of(run)
    assert [row["sample"] for row in rows] == [path.name for path in files]
    assert [row["label"] for row in rows] == CLASSES
    assert [row["split"] for row in rows] == ["train"] * 12 + ["validation"] * 6 + ["test"] * 6
    stored = run.predictions("test")
    np.testing.assert_allclose(run.predict(files[18:]).probabilities, stored.probabilities, atol=1e-6)


@pytest.mark.parametrize("form", ["columns", "records"])
def test_a_table_in_memory(pipeline: Any, files: list[Path], tmp_path: Path, form: str) -> None:
    columns = {
        "image": [str(path) for path in files],
        "label": CLASSES,
        "patient": [number // 2 for number in range(COUNT)],
        "hospital": ["Ulm" if number % 4 < 2 else None for number in range(COUNT)],
        "age": [None if number == 3 else number / 2 for number in range(COUNT)],
    }
    table: Any = columns
    if form == "records":
        table = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    rows = split_of(pipeline.fit(table, out=tmp_path / "run"))
    assert [row["label"] for row in rows] == CLASSES
    assert all(a["split"] == b["split"] for a, b in zip(rows[::2], rows[1::2], strict=True))


# ---------------------------------------------------------------- containers and lists for predict


def listed(source: object, own: Any = None) -> tuple[list[str], list[Any]]:
    """What ``predict`` makes of a source: names and images, in a run whose reader is ``own``."""
    from medplug.plugins.registry import registry
    from medplug.runs.inputs import Readers, Stored, expand

    found = list(expand(source, 2, Readers(lambda: own, registry())))
    return [name for name, _ in found], [one.load() if isinstance(one, Stored) else one for _, one in found]


def test_a_container_of_arrays(tmp_path: Path) -> None:
    path = tmp_path / "new.npz"
    images = np.stack([picture(number) for number in range(3)])
    np.savez_compressed(path, images=images)
    names, loaded = listed(path)
    assert names == [f"{path}/{number}" for number in range(3)]
    np.testing.assert_array_equal(np.stack(loaded)[..., 0], images)


def test_a_table_names_the_images(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("image\n" + "\n".join(path.stem for path in files[:3]) + "\n")
    assert listed(tmp_path / "new.csv") == ([path.name for path in files[:3]], list(map(str, files[:3])))
    (tmp_path / "new.json").write_text('{"03": null, "04": "unknown"}')
    assert listed(tmp_path / "new.json")[1] == list(map(str, files[3:5]))


def test_a_folder_leaves_masks_out_and_says_so(files: list[Path]) -> None:
    from medplug.images import ImageError

    files[0].rename(files[0].with_name("00_mask.png"))
    with pytest.raises(ImageError, match="a mask by its name"):
        listed(files[0].parent)


def test_drawn_images_by_name() -> None:
    names, loaded = listed("phantoms:3")
    assert set(names) == {f"phantoms:3/{c}/{k:06d}.png" for k, c in enumerate(["benign", "malignant", "normal"])}
    assert [image.shape for image in loaded] == [(128, 128, 1)] * 3


def test_predict_of_containers_and_lists(
    cli: Callable[..., Any], pipeline: Any, files: list[Path], tmp_path: Path
) -> None:
    run = pipeline.fit((files, CLASSES), out=tmp_path / "run")
    assert isinstance(run._reader.index(""), Index)
    np.savez(tmp_path / "new.npz", images=np.stack([picture(number) for number in range(4)]))
    (tmp_path / "new.txt").write_text("".join(f"images/{path.name}\n" for path in files[:4]))
    both = [run.predict(tmp_path / name) for name in ("new.npz", "new.txt")]
    np.testing.assert_allclose(both[0].probabilities, both[1].probabilities, atol=1e-6)
    assert both[1].samples == tuple(map(str, files[:4]))


def test_predict_on_the_command_line_takes_a_list(cli: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    assert cli("run", data, "--out", tmp_path / "run").code == 0
    images = sorted((data / "dark").glob("*.png"))[:3]
    (tmp_path / "list").write_text("".join(f"{path}\n" for path in images))
    outcome = cli("predict", tmp_path / "run", f"@{tmp_path / 'list'}")
    assert outcome.code == 0
    assert [row["sample"] for row in csv.DictReader(io.StringIO(outcome.out))] == list(map(str, images))
