"""The kit catches broken readers, and lets correct ones pass."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medplug.plugins import DataError, ImageError, Index, Skipped, component
from medplug.testing import ConformanceError, check_component
from medplug.testing.fakes import Memory


@component
class UnstableOrder(Memory):
    """Lists samples as they come."""

    def index(self, source: str) -> Index:
        index = Memory().index(source)
        return index.take(np.array(random.sample(range(len(index)), len(index))))


@component
class DuplicateNames(Memory):
    """Cuts names off, so that they come twice."""

    def index(self, source: str) -> Index:
        index = Memory().index(source)
        return replace(index, samples=tuple(name[:7] for name in index.samples))


@component
class DuplicateClasses(Memory):
    """Two classes of one name."""

    def index(self, source: str) -> Index:
        return replace(Memory().index(source), classes=("benign", "benign", "malignant"))


@component
class WrongDtype(Memory):
    """Scales pixels to float64."""

    def load(self, uri: str) -> np.ndarray:
        return Memory().load(uri) / 255


@component
class ChannelsMissing(Memory):
    """Loads grey images without an axis for channels."""

    def load(self, uri: str) -> np.ndarray:
        return Memory().load(uri)[..., 0]


@component
class OutOfRange(Memory):
    """Floating pixels from 0 to 255."""

    def load(self, uri: str) -> np.ndarray:
        return Memory().load(uri).astype(np.float32)


@component
class CanReadRaises(Memory):
    """Looks into whatever it is given."""

    def can_read(self, source: str) -> float:
        return 1.0 if source == "memory" or Path(source).read_text()[:3] == "img" else 0.0


@component
class NeverSure(Memory):
    """Does not know its own data."""

    def can_read(self, source: str) -> float:
        return 0.0


@component
class TooSure(Memory):
    """Leaves the scale."""

    def can_read(self, source: str) -> float:
        return 10.0 if source == "memory" else 0.0


_opened: dict[str, str] = {}


@component
class OnePosition(Memory):
    """Keeps the image that was asked for last in one place for all threads."""

    def load(self, uri: str) -> np.ndarray:
        _opened["uri"] = uri
        time.sleep(0.01)  # lets the other threads ask for theirs
        image = Memory().load(uri)
        return Memory().load(_opened["uri"]) if image.size else image


class Remembers:
    """Can load only after ``index``: what it needs is kept in the object."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {"known": set()}

    def can_read(self, source: str) -> float:
        return Memory().can_read(source)

    def index(self, source: str) -> Index:
        index = Memory().index(source)
        self.known.update(index.uris)
        return index

    def load(self, uri: str) -> np.ndarray:
        if uri not in self.known:
            raise ImageError(f"{uri} was not indexed")
        return Memory().load(uri)


@component
class SilentlyBlack(Memory):
    """Returns a black image for what it cannot read."""

    def load(self, uri: str) -> np.ndarray:
        try:
            return Memory().load(uri)
        except ImageError:
            return np.zeros((16, 16, 1), np.uint8)


@component
class OtherError(Memory):
    """Lets the user see a traceback."""

    def index(self, source: str) -> Index:
        try:
            return Memory().index(source)
        except DataError as error:
            raise KeyError("source") from error


@component
class IndexIsATuple(Memory):
    """Returns loose values."""

    def index(self, source: str) -> Any:
        index = Memory().index(source)
        return index.samples, index.targets


@component
class NarrowDepth(Memory):
    """Hands 12-bit data over as uint16, without scaling."""

    def load(self, uri: str) -> np.ndarray:
        return Memory(pixels="uint16").load(uri) >> 4


@component
class NoReason(Memory):
    """Leaves something out without a word."""

    def index(self, source: str) -> Index:
        return replace(Memory().index(source), skipped=(Skipped("x.png", " "),))


@component
class SilentGuess(Memory):
    """Guesses groups and does not say so."""

    def index(self, source: str) -> Index:
        return replace(Memory(group_size=3).index(source), notes=(), guessed=("patient",))


@component
class UnstableSite(Memory):
    """Names the site now and then."""

    def index(self, source: str) -> Index:
        TURNS.append("")
        return replace(Memory(group_size=3).index(source), site="patient" if len(TURNS) % 2 else "")


TURNS: list[str] = []


@component
class GoodExtras(Memory):
    """Has all optional methods."""

    def facts(self, uri: str) -> dict[str, Any]:
        return {"length": len(uri)}

    def unlabelled(self, source: str) -> Index:
        index = self.index(source)
        return replace(index, targets=np.zeros((len(index), 0)), classes=(), task="multilabel")

    def mask(self, uri: str) -> np.ndarray | None:
        return None if uri.endswith("100") else np.ones(self.load(uri).shape[:-1], bool)


@component
class MaskWithChannels(GoodExtras):
    """Gives masks the channels of the image."""

    def mask(self, uri: str) -> np.ndarray | None:
        return self.load(uri) > 0


@component
class GreyMask(GoodExtras):
    """Gives masks as they lie in files."""

    def mask(self, uri: str) -> np.ndarray | None:
        return np.full(self.load(uri).shape[:-1], 255, np.uint8)


@component
class ArrayFacts(GoodExtras):
    """Tells an array."""

    def facts(self, uri: str) -> dict[str, Any]:
        return {"mean": np.zeros(3)}


@component
class RandomFacts(GoodExtras):
    """Tells something else each time."""

    def facts(self, uri: str) -> dict[str, Any]:
        return {"luck": random.random()}


@component
class RaisingFacts(GoodExtras):
    """Trusts that the uri is one of its own."""

    def facts(self, uri: str) -> dict[str, Any]:
        return {"seed": int(uri.partition(":")[0])}


@component
class UnlabelledWithLabels(GoodExtras):
    """Keeps the labels."""

    def unlabelled(self, source: str) -> Index:
        return self.index(source)


@component
class UnlabelledOnlySome(GoodExtras):
    """Forgets an image."""

    def unlabelled(self, source: str) -> Index:
        return GoodExtras().unlabelled(source).take(np.arange(1, 60))


MUTANTS = [
    (NarrowDepth, "loads_pixels"),
    (NoReason, "columns_are_told"),
    (SilentGuess, "columns_are_told"),
    (UnstableSite, "index_is_stable"),
    (MaskWithChannels, "masks_fit_the_images"),
    (GreyMask, "masks_fit_the_images"),
    (ArrayFacts, "facts_are_plain"),
    (RandomFacts, "facts_are_plain"),
    (RaisingFacts, "facts_are_plain"),
    (UnlabelledWithLabels, "unlabelled_covers_the_index"),
    (UnlabelledOnlySome, "unlabelled_covers_the_index"),
    (UnstableOrder, "index_is_stable"),
    (DuplicateNames, "index_is_sound"),
    (DuplicateClasses, "index_is_sound"),
    (WrongDtype, "loads_pixels"),
    (ChannelsMissing, "loads_pixels"),
    (OutOfRange, "loads_pixels"),
    (CanReadRaises, "can_read_never_raises"),
    (NeverSure, "recognises_its_source"),
    (TooSure, "recognises_its_source"),
    (OnePosition, "loads_in_threads"),
    (Remembers, "loads_after_pickle"),
    (SilentlyBlack, "unreadable_images_are_told"),
    (OtherError, "unusable_sources_are_refused"),
    (IndexIsATuple, "index_is_sound"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_broken_reader_fails(mutant: type, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_component(mutant, source="memory")
    assert check in caught.value.report.failed


@pytest.mark.parametrize(
    "reader",
    [
        Memory(),
        Memory(task="multilabel", unknown=0.2, channels=3, pixels="uint16"),
        Memory(group_size=3, given_splits=True, pixels="float32"),
        Memory(volumes=True),
    ],
)
def test_a_correct_reader_passes(reader: Memory) -> None:
    report = check_component(reader, source="memory")
    assert report.ok
    # Methods that a reader need not have.
    assert report.skipped == ("facts_are_plain", "unlabelled_covers_the_index", "masks_fit_the_images")


def test_a_reader_with_all_methods_passes_every_check() -> None:
    assert not check_component(GoodExtras, source="memory").skipped


def test_a_reader_without_test_data_is_not_passed_silently() -> None:
    with pytest.raises(ConformanceError, match="fixture `source`") as caught:
        check_component(Memory)
    assert caught.value.report.failed == ("has_data_to_read",)


def test_a_source_can_be_made_in_a_folder() -> None:
    folders = []

    def make(folder: Path) -> str:
        assert folder.is_dir()
        assert not list(folder.iterdir())
        folders.append(folder)
        return "7"

    assert check_component(Memory, source=make, named_only=True).ok
    assert len(folders) == 1


def test_volumes_have_three_axes_and_classes_differ_in_their_pixels() -> None:
    reader = Memory(volumes=True)
    index = reader.index("memory")
    images = np.stack([reader.load(uri) for uri in index.uris])
    assert images.shape == (60, 8, 16, 16, 1)
    first = images[..., :5, :5, 0].mean((1, 2, 3))  # the square of class 0
    assert first[index.targets[:, 0] == 1].min() > first[index.targets[:, 0] == 0].max()
