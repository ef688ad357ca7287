"""What predict and explain take: paths, folders, lists, what readers understand, arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medplug.errors import DataError
from medplug.images import ImageError
from medplug.params import component
from medplug.runs.inputs import Readers, Stored, expand, nothing_readable
from medplug.testing.fakes import Memory, fake_registry
from medplug.values import Index, Skipped


@component
class Stack(Memory):
    """A file ``*.stack`` that holds as many images as it has bytes."""

    def can_read(self, source: str) -> float:
        return 0.7 if source.endswith(".stack") else 0.0

    def unlabelled(self, source: str) -> Index:
        count = Path(source).stat().st_size
        if not count:
            raise DataError(f"{source}: the stack is empty")
        index = Memory(samples=count).index("memory")
        bare = replace(index, targets=np.zeros((count, 0)), classes=(), task="multilabel")
        return replace(bare, skipped=(Skipped("slice 9", "torn"),))


@component
class Drawer(Stack):
    """Reads folders: the files in them that begin with ``x``."""

    def can_read(self, source: str) -> float:
        return 0.5 if Path(source).is_dir() else 0.0

    def unlabelled(self, source: str) -> Index:
        files = sorted(Path(source).glob("x*"))
        if not files:
            raise DataError(f"{source}: nothing begins with x")
        names = tuple(path.name for path in files)
        return Index(names, tuple(map(str, files)), np.zeros((len(files), 0)), (), "multilabel")


class Lookup:
    """As much of a registry as finding a reader needs."""

    def __init__(self, **readers: type) -> None:
        self._readers = readers

    def components(self, kind: str) -> list[object]:
        assert kind == "reader"
        fake = fake_registry().components("reader")[0]
        return [replace(fake, name=name) for name in self._readers]

    def load(self, record: object) -> type:
        return self._readers[record.name]


def readers(own: object = None, **others: type) -> Readers:
    return Readers(lambda: own, Lookup(**others))


def names(images: object, found: Readers | None = None) -> list[str]:
    return [name for name, _ in expand(images, 2, found)]


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(path)
    return path


def test_files_and_folders_without_a_reader(tmp_path):
    picture(tmp_path / "d" / "2.png")
    picture(tmp_path / "d" / "deep" / "1.jpg")
    picture(tmp_path / "d" / ".3.png")
    (tmp_path / "d" / "notes.txt").touch()
    listed = list(expand([tmp_path / "d", tmp_path / "gone.png"], 2))
    paths = [str(tmp_path / "d" / "2.png"), str(tmp_path / "d" / "deep" / "1.jpg"), str(tmp_path / "gone.png")]
    assert listed == [(path, path) for path in paths]
    assert names(tmp_path / "d" / "2.png") == [paths[0]]


def test_arrays():
    one = np.zeros((5, 6), np.uint8)
    assert [image.shape for _, image in expand(one, 2)] == [(5, 6, 1)]
    assert [image.shape for _, image in expand(np.zeros((5, 6, 3), np.uint8), 2)] == [(5, 6, 3)]
    assert [image.shape for _, image in expand(np.zeros((7, 5, 6), np.uint8), 2)] == [(5, 6, 1)] * 7
    assert names([one, one]) == ["0", "1"]
    assert [image.shape for _, image in expand(Image.new("RGB", (6, 5)), 2)] == [(5, 6, 3)]
    assert [str(image.dtype) for _, image in expand([one / 255, one.astype(int)], 2)] == ["float32", "uint8"]
    with pytest.raises(DataError, match="values from 0 to 999"):
        list(expand([np.array([[0, 999]])], 2))


def test_what_acts_like_an_array():
    class Tensor:
        def __init__(self, values):
            self._values = values

        def __array__(self, dtype=None, copy=None):
            return self._values

    assert [image.shape for _, image in expand(Tensor(np.zeros((2, 5, 6, 3), np.uint8)), 2)] == [(5, 6, 3)] * 2
    assert len(list(expand([Tensor(np.zeros((3, 5, 6), np.uint8))], 2))) == 1


def test_lists_of_paths(tmp_path):
    first, second = picture(tmp_path / "images" / "a b.png"), picture(tmp_path / "c.png")
    (tmp_path / "new.txt").write_text(f"# this week's\nimages/a b.png\n\n{second}\ngone.png\n", encoding="utf-8-sig")
    expected = [str(first), str(second), str(tmp_path / "gone.png")]
    assert names(tmp_path / "new.txt") == expected
    (tmp_path / "new.txt").rename(tmp_path / "list")
    assert names(f"@{tmp_path / 'list'}") == expected
    assert names([f"@{tmp_path / 'list'}", second]) == [*expected, str(second)]


def test_a_list_that_names_nothing_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match="the list names no image"):
        names(tmp_path / "empty.txt")
    with pytest.raises(DataError, match="the list of images cannot be read"):
        names(f"@{tmp_path / 'gone'}")


def test_lists_within_lists_are_images_that_cannot_be_read(tmp_path):
    """So that a list which names itself ends."""
    (tmp_path / "a.txt").write_text("a.txt\n")
    assert names(tmp_path / "a.txt") == [str(tmp_path / "a.txt")]


def test_a_file_of_many_images_is_read_by_its_reader(tmp_path):
    path = tmp_path / "set.stack"
    path.write_bytes(b"123")
    listed = list(expand(path, 2, readers(memory=Memory, stack=Stack)))
    assert [name for name, _ in listed] == [
        *(f"{path}/{s}" for s in Memory(samples=3).index("").samples),
        f"{path}, slice 9",
    ]
    *good, (_, torn) = [source for _, source in listed], listed[-1]
    assert all(isinstance(source, Stored) and source.load().shape == (16, 16, 1) for source in good[0][:-1])
    with pytest.raises(ImageError, match="torn"):
        torn.load()


def test_the_reader_of_the_run_comes_first(tmp_path):
    """It has the run's parameters."""
    path = tmp_path / "set.stack"
    path.write_bytes(b"1")
    own = Stack()
    (_, source), _ = expand(path, 2, readers(own, stack=Stack))
    assert source.reader is own


def test_what_cannot_be_read_is_left_out_with_the_reason(tmp_path):
    path = tmp_path / "set.stack"
    path.touch()
    [(name, source)] = expand(path, 2, readers(stack=Stack))
    assert name == str(path)
    with pytest.raises(ImageError, match="the stack is empty"):
        source.load()
    (tmp_path / "folder").mkdir()
    [(_, source)] = expand(tmp_path / "folder", 2, readers(drawer=Drawer))
    with pytest.raises(ImageError, match="nothing begins with x"):
        source.load()


def test_folders_are_read_by_the_surest_reader_that_finds_something(tmp_path):
    picture(tmp_path / "x1.png")
    picture(tmp_path / "y1.png")
    (tmp_path / "x2.raw").touch()
    listed = dict(expand(tmp_path, 2, readers(drawer=Drawer)))
    assert listed[f"{tmp_path}/x1.png"] == str(tmp_path / "x1.png")  # the reader of the run loads image files
    assert isinstance(listed[f"{tmp_path}/x2.raw"], Stored)
    assert len(listed) == 2
    (tmp_path / "x1.png").unlink()
    (tmp_path / "x2.raw").unlink()
    assert len(list(expand(tmp_path, 2, readers(memory=Memory)))) == 1  # no reader of folders: any image file


def test_a_named_reader(tmp_path):
    own = Memory(samples=2)
    listed = list(expand("memory:7", 2, readers(own, memory=Memory)))
    assert [name for name, _ in listed] == [f"memory:7/{sample}" for sample in own.index("7").samples]
    assert listed[0][1].reader is own
    assert len(list(expand("memory:7", 2, readers(None, memory=Memory)))) == 60
    assert names("other:7", readers(own, memory=Memory)) == [
        "other:7"
    ]  # no reader of this name: a file that is missing


def test_a_reader_that_breaks_keeps_no_other_from_reading(tmp_path):
    @component
    class Broken(Stack):
        def can_read(self, source: str) -> float:
            raise RuntimeError("oops")

    class Missing:
        def __init__(self) -> None:
            raise ImportError("no such package")

    path = tmp_path / "set.stack"
    path.write_bytes(b"1")
    assert len(list(expand(path, 2, readers(Broken(), broken=Broken, missing=Missing, stack=Stack)))) == 2


def test_the_error_of_a_call_that_read_nothing():
    assert str(nothing_readable([Skipped("a.png", "torn")])) == "no image can be read: a.png (torn)"


def test_a_run_predicts_what_a_reader_understands(pipeline, tmp_path):
    """By name: `memory:7` holds sixty images."""
    run = pipeline(settings={"training.epochs": 1, "training.frozen_epochs": 0}).fit("memory", out=tmp_path / "run")
    found = run.predict("memory:7")
    assert len(found.samples) == 60
    reader = Memory()
    arrays = [reader.load(uri) for uri in reader.index("7").uris]
    np.testing.assert_allclose(found.probabilities, run.predict(arrays).probabilities, atol=1e-6)
    assert len(run.explain("memory:7")) >= 60
