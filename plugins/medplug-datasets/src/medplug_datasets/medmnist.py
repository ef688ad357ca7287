"""Reader ``medmnist``: MedMNIST v2 and MedMNIST+, by name or from a file."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medplug.plugins import About, DataError, Download, ImageError, Index, cache_folder, component, param
from medplug_datasets.files import some
from medplug_datasets.npz import Member, mapped, members, read

PUBLISHER = "https://zenodo.org/records/10519652/files"
CITATION = "Yang et al., MedMNIST v2, Scientific Data 10 (2023) 41"
PARTS = {"train": "train", "val": "validation", "test": "test"}
_URI = re.compile(r"(.+)#(train|val|test)/(\d+)@([0-9a-f]{8})", re.DOTALL)
_NAME = re.compile(r"([a-z]+(?:3d)?)(?:_(28|64|128|224))?")


@dataclass(frozen=True)
class Set:
    """What the publisher says of one set, from ``medmnist_sets.toml``."""

    title: str
    task: Literal["multiclass", "multilabel", "ordinal"]
    licence: str
    channels: int
    parts: tuple[int, int, int]
    classes: tuple[str, ...]
    md5: dict[str, str]
    volumes: bool = False


_REMARKS = {
    "dermamnist": "images of one lesion lie in several of the given parts (Abhishek et al., Scientific Data 12 (2025) 196)",
    "breastmnist": "images of one woman may lie in several of the given parts",
}


@cache
def sets() -> dict[str, Set]:
    """All sets by name."""
    text = resources.files("medplug_datasets").joinpath("medmnist_sets.toml").read_text("utf-8")
    return {
        name: Set(**{**values, "parts": tuple(values["parts"]), "classes": tuple(values["classes"])})
        for name, values in tomllib.loads(text).items()
    }


@component
class MedMnist:
    """MedMNIST v2 and MedMNIST+: ``medmnist:pathmnist``, ``medmnist:pathmnist_128``, or ``medmnist:FILE.npz``.

    Twelve sets of images in 28, 64, 128 and 224 pixels, six of volumes in 28 and 64; all with the publisher's split.
    By name a set is downloaded once from the publisher's page on Zenodo, checked against the published MD5, into
    ``datasets`` in medplug's cache (``MEDPLUG_CACHE``); those of 224 pixels are up to 13 GB. Pixels are mapped, not
    read: compressed arrays are unpacked once beside the download.

    ChestMNIST is multi-label. RetinaMNIST's classes are grades in their order, for which ordinal metrics exist.
    BreastMNIST's class 0 is malignant, its class 1 normal or benign. Images of one patient, lesion or volume share no
    column, so that groups are unknown: where the publisher split by patients is told by the papers only.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = MedMnist(expected="none").index(make("medmnist", folder))
        >>> index.classes[:2], len(index), index.samples[-1], index.about.title
        (('basophil', 'eosinophil'), 32, 'test/000007', 'BloodMNIST')
    """

    split: Literal["official", "none"] = param("keep the publisher's parts, or pool them", default="official")
    expected: Literal["published", "none"] = param(
        "counts that the images are compared with; a difference is told, not refused", default="published"
    )
    download: bool = param("fetch a set that is not in the cache; off never uses the network", default=True)
    address: str = param("where sets are downloaded from: an address before /NAME.npz; empty is Zenodo", default="")
    examples = ({"split": "none", "expected": "none"},)

    def can_read(self, source: str) -> float:
        """0.97 for an ``.npz`` file of a published name that holds the six arrays; else 0."""
        try:
            path = Path(source)
            match = _NAME.fullmatch(path.stem)
            if path.suffix != ".npz" or not match or match[1] not in sets() or not path.is_file():
                return 0.0
            wanted = {f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")}
            return 0.97 if wanted <= set(members(path)) else 0.0
        except (OSError, ValueError, DataError):
            return 0.0

    def index(self, source: str) -> Index:
        """The images of all parts, in the order of the file; pixels are not touched.

        Raises:
            DataError: no such set or file, a download that fails, or arrays that are not those of MedMNIST.
        """
        path, name, size = self._find(source)
        known = sets().get(name)
        arrays = members(path)
        parts = [part for part in PARTS if f"{part}_images" in arrays]
        if not parts:
            raise DataError(f"{path}: no train_images, val_images or test_images; there are {some(sorted(arrays))}")
        labels = {part: _labels(path, part, arrays) for part in parts}
        multilabel = known.task == "multilabel" if known else labels[parts[0]].shape[1] > 1
        classes = known.classes if known else _numbered(labels, multilabel)
        targets = [_targets(path, part, labels[part], len(classes), multilabel) for part in parts]
        images = {part: arrays[f"{part}_images"] for part in parts}
        _check_images(path, images)
        rows = [(part, i) for part in parts for i in range(images[part].shape[0])]
        given = self.split == "official" and len(parts) > 1
        return Index(
            samples=tuple(f"{PARTS[part]}/{i:06d}" for part, i in rows),
            uris=tuple(f"{path}#{part}/{i}@{images[part].crc:08x}" for part, i in rows),
            targets=np.concatenate(targets),
            classes=classes,
            task="multilabel" if multilabel else "multiclass",
            splits=np.array([PARTS[part] for part, _ in rows]) if given else None,
            notes=tuple(self._notes(name, known, size, images)),
            about=_about(path, known),
        )

    def load(self, uri: str) -> np.ndarray:
        """One image: ``[S, S, 1]`` or ``[S, S, 3]`` uint8; a volume ``[S, S, S, 1]``."""
        match = _URI.fullmatch(uri)
        if not match:
            raise ImageError(f"{uri!r} is no image of MedMNIST; one looks like pathmnist.npz#train/17@0a1b2c3d")
        part, row = match[2], int(match[3])
        try:
            images = mapped(Path(match[1]), f"{part}_images", int(match[4], 16), _folder())
        except DataError as error:
            raise ImageError(str(error)) from None
        if row >= len(images):
            raise ImageError(f"{uri!r}: there are {len(images)} images in this part")
        image = np.array(images[row])
        return image if image.ndim == 3 and image.shape[-1] == 3 else image[..., None]

    def _find(self, source: str) -> tuple[Path, str, int]:
        """The file, and the name and size of its set; an empty name where it is none of the published ones."""
        text = source.strip()
        if text.lower().endswith(".npz") or "/" in text or "\\" in text:
            path = Path(text).expanduser().absolute()
            match = _NAME.fullmatch(path.stem.lower())
            name = match[1] if match and match[1] in sets() else ""
            if not path.is_file():
                hint = f"; medmnist:{path.stem} downloads it" if name else ""
                raise DataError(f"{source}: there is no such file{hint}")
            return path, name, int(match[2] or 28) if match and name else 0
        match = _NAME.fullmatch(text.lower())
        if not match or match[1] not in sets():
            close = difflib.get_close_matches(text.lower().partition("_")[0], sets(), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise DataError(
                f"medmnist:{source}: no such set{hint} (sets: {some(sets(), 20)}; or the path of an .npz file)"
            )
        name, size = match[1], match[2] or "28"
        published = sets()[name]
        if size not in published.md5:
            raise DataError(f"medmnist:{source}: {name} comes in {some(published.md5)} pixels, not in {size}")
        return self._fetched(name, size, published), name, int(size)

    def _fetched(self, name: str, size: str, published: Set) -> Path:
        file = f"{name}.npz" if size == "28" else f"{name}_{size}.npz"
        target = _folder() / file
        url = f"{self.address.rstrip('/')}/{file}" if self.address else f"{PUBLISHER}/{file}?download=1"
        if not self.download and not target.is_file():
            raise DataError(
                f"medmnist:{name}: {target} is not there, and reader.download is off. Get it from {url} (MD5 "
                f"{published.md5[size]}) and put it there, or give its path: medmnist:FILE.npz"
            )
        advice = "Without this download you can give the path of a file that you have: medmnist:FILE.npz"
        try:
            download = Download(
                url, "", None, "MedMNIST", published.licence, md5=published.md5[size], kind="datasets", advice=advice
            )
        except ValueError as error:
            raise DataError(f"reader.address {self.address!r} cannot be used: {error}") from None
        return download.fetch(_folder(), trust=True)

    def _notes(self, name: str, known: Set | None, size: int, images: dict[str, Member]) -> list[str]:
        notes = []
        if known is None:
            notes.append("not a published name: classes are called by their numbers")
        else:
            if self.expected == "published":
                notes += _counts(known, images)
            if known.task == "ordinal":
                notes.append("the classes are grades in their order: metrics for ordered classes apply")
            if name in _REMARKS:
                notes.append(_REMARKS[name])
            shape = next(iter(images.values())).shape
            if shape[1] != size:
                notes.append(f"the images have {shape[1]} pixels, the name says {size}")
        if self.split == "official" and len(images) > 1:
            notes.append(
                f"given split: {some([f'{part} -> {PARTS[part]}' for part in images])} (reader.split=none pools it)"
            )
        notes.append("no ids of patients are published: groups are unknown")
        return notes


def _counts(known: Set, images: dict[str, Member]) -> list[str]:
    wanted = dict(zip(PARTS, known.parts, strict=True))
    found = {part: images[part].shape[0] if part in images else 0 for part in wanted}
    if found == wanted:
        return [f"the counts are the published ones ({sum(wanted.values()):,} images)"]
    rows = [f"{part} {found[part]:,} (published {n:,})" for part, n in wanted.items() if found[part] != n]
    return [f"counts differ from the published ones (reader.expected=none does not compare): {some(rows)}"]


def _folder() -> Path:
    return cache_folder("datasets") / "medmnist"


def _about(path: Path, known: Set | None) -> About:
    if known is None:
        return About(title=path.stem)
    return About(title=known.title, licence=known.licence, citation=CITATION, url="https://medmnist.com")


def _labels(path: Path, part: str, arrays: dict[str, Member]) -> np.ndarray:
    """``[N, 1]`` classes, or ``[N, K]`` of 0 and 1."""
    images, name = arrays[f"{part}_images"], f"{part}_labels"
    if name not in arrays:
        raise DataError(f"{path}: {part}_images, but no {name}; there are {some(sorted(arrays))}")
    labels = read(path, name)
    labels = labels[:, None] if labels.ndim == 1 else labels
    if labels.dtype.kind not in "iub" or labels.ndim != 2 or len(labels) != images.shape[0]:
        raise DataError(
            f"{path}: {name} must be whole numbers [{images.shape[0]}, labels], got {labels.dtype} {list(labels.shape)}"
        )
    return labels


def _numbered(labels: dict[str, np.ndarray], multilabel: bool) -> tuple[str, ...]:
    """Classes called by their numbers, at least two."""
    first = next(iter(labels.values()))
    count = first.shape[1] if multilabel else max(int(values.max(initial=0)) for values in labels.values()) + 1
    return tuple(str(i) for i in range(max(count, 2)))


def _targets(path: Path, part: str, labels: np.ndarray, classes: int, multilabel: bool) -> np.ndarray:
    wanted, top = (classes, 1) if multilabel else (1, classes - 1)
    if labels.shape[1] != wanted:
        raise DataError(f"{path}: {part}_labels has {labels.shape[1]} columns, expected {wanted}")
    bad = np.flatnonzero(((labels < 0) | (labels > top)).any(1))
    if len(bad):
        raise DataError(f"{path}: {part}_labels, row {bad[0]}: {labels[bad[0]].tolist()}, expected 0 to {top}")
    if multilabel:
        return labels.astype(np.float32)
    return np.eye(classes, dtype=np.float32)[labels[:, 0].astype(int)]


def _check_images(path: Path, images: dict[str, Member]) -> None:
    first: Any = None
    for part, member in images.items():
        shape = member.shape[1:]
        if member.dtype != np.uint8 or len(shape) not in (2, 3) or not all(shape):
            raise DataError(
                f"{path}: {part}_images must be uint8 [N, S, S], [N, S, S, 3] or [N, S, S, S], got {member.dtype} "
                f"{list(member.shape)}"
            )
        first = first or shape
        if shape != first:
            raise DataError(f"{path}: images of {list(shape)} in {part}, but of {list(first)} before")
