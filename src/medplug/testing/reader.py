"""Checks of readers, on a source that the author of the test provides (the fixture ``source``)."""

from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from medplug.errors import MedplugError
from medplug.params import is_component, parameters
from medplug.testing.checks import Case, Check, CheckError, NotApplicable, check, require
from medplug.values import Index

_LOADED = 12  # images are looked at, spread over the data set
_DTYPES = (np.uint8, np.uint16, np.float32)


def source_of(case: Case) -> str:
    """The data source to read: the fixture itself, or what it makes in an empty folder."""
    if "source" not in case.fixtures:
        raise NotApplicable("no fixture `source`: a data source, or a function from an empty folder to one")
    given = case.fixtures["source"]
    return str(case.once("source", lambda: given(_empty(case)) if callable(given) else given))


def _empty(case: Case) -> Path:
    """A folder apart from the one in which the checks themselves put files."""
    folder = case.folder() / "source"
    folder.mkdir()
    return folder


def _index(case: Case) -> Index:
    return case.once("index", lambda: case.obj.index(source_of(case)))


def _some_uris(case: Case) -> Sequence[str]:
    uris = _index(case).uris
    places = np.unique(np.linspace(0, len(uris) - 1, min(len(uris), _LOADED)).astype(int))
    return [uris[i] for i in places]


@check(
    'tell check_component or plugin_tests where test data is: fixtures={"reader/NAME": {"source": make_source}}',
    cheap=True,
)
def has_data_to_read(case: Case) -> None:
    """The author of the test has said what to read."""
    require("source" in case.fixtures, "without the fixture `source` nothing can be read")


@check(
    "return a float from 0 to 1, above 0 for what the reader understands (named_only=True where it is only ever named)"
)
def recognises_its_source(case: Case) -> None:
    """``can_read`` of the test data is a number above 0, up to 1."""
    sure = case.obj.can_read(source_of(case))
    require(isinstance(sure, (int, float)) and 0 <= sure <= 1, f"can_read returned {sure!r}")
    if not case.fixtures.get("named_only", False):
        require(sure > 0, f"can_read is 0 for {source_of(case)!r}")


@check("catch what goes wrong in can_read and return 0.0")
def can_read_never_raises(case: Case) -> None:
    """Empty, missing, foreign and unreadable sources give a number from 0 to 1."""
    folder = case.folder() / "odd"
    (folder / "empty").mkdir(parents=True, exist_ok=True)
    (folder / "text.csv").write_bytes(b"\xff\xfe\x00not,a\ntable")
    (folder / "nothing.txt").write_bytes(b"")
    odd = ("", " ", "no/such/place", "some_reader:argument", "C:\\data", "a\0b", "x" * 5000, "https://example.org/data")
    for source in (*odd, *(str(p) for p in sorted(folder.iterdir()))):
        sure = case.obj.can_read(source)
        require(isinstance(sure, (int, float)) and 0 <= sure <= 1, f"can_read({source[:40]!r}) returned {sure!r}")


@check(
    "return an Index with unique, relative sample names, string uris and columns, and at least one sample of each kind"
)
def index_is_sound(case: Case) -> None:
    """The index has samples, and names that are unique texts."""
    index = _index(case)
    require(isinstance(index, Index), f"index returned {type(index).__name__}, not an Index")
    require(len(index) > 0, "the index of the test data is empty")
    for word, names in (("sample name", index.samples), ("uri", index.uris), ("class", index.classes)):
        require(isinstance(names, tuple), f"{word}s are a {type(names).__name__}, not a tuple")
        bad = [n for n in names if not isinstance(n, str) or not n]
        require(not bad, f"{bad[:1]} is no {word}: a text that is not empty is asked for")
    require(len(set(index.classes)) == len(index.classes), f"classes come twice: {index.classes}")
    least = 2 if index.task == "multiclass" else 1
    require(len(index.classes) >= least, f"{len(index.classes)} classes in a {index.task} task")
    absolute = [s for s in index.samples if Path(s).is_absolute() or "\\" in s]
    require(not absolute, f"sample names are paths relative to the data, with /: {absolute[:1]}")
    for name, column in index.groups.items():
        require(
            all(isinstance(v, str) for v in column),
            f"the group column {name!r} holds {type(column[0]).__name__}, not text",
        )


@check("sort what the file system lists (os.listdir and glob have no order), and draw nothing at random")
def index_is_stable(case: Case) -> None:
    """The same source gives the same index, also from another instance."""
    first = _index(case)
    again = [case.obj, type(case.obj)(**parameters(case.obj)) if is_component(case.obj) else case.obj]
    for reader in again:
        second = reader.index(source_of(case))
        for name in ("samples", "uris", "classes", "task", "skipped", "notes", "site", "guessed", "about"):
            require(getattr(first, name) == getattr(second, name), f"two calls of index differ in {name}")
        columns: dict[str, tuple[Any, Any]] = {"targets": (first.targets, second.targets)}
        columns |= {f"group {n}": (c, second.groups.get(n)) for n, c in first.groups.items()}
        columns |= {f"metadata {n}": (c, second.metadata.get(n)) for n, c in first.metadata.items()}
        columns["splits"] = (first.splits, second.splits)
        for name, (a, b) in columns.items():
            require(_same(a, b), f"two calls of index differ in {name}")


@check("name in Index.site and Index.guessed columns of the index; tell guesses in Index.notes, as plain sentences")
def columns_are_told(case: Case) -> None:
    """The site and the guessed groups are columns of the index; notes and reasons are texts."""
    index = _index(case)
    columns = {**index.groups, **index.metadata}
    require(not index.site or index.site in columns, f"site names {index.site!r}, which is no column")
    require(
        set(index.guessed) <= set(index.groups),
        f"guessed names {set(index.guessed) - set(index.groups)}, no columns of groups",
    )
    require(not index.guessed or index.notes, "groups are guessed, and no note says so")
    texts = [
        *index.notes,
        *(s.name for s in index.skipped),
        *(s.reason for s in index.skipped),
        *dataclasses.astuple(index.about),
    ]
    bad = [t for t in texts if not isinstance(t, str)]
    require(not bad, f"notes, skipped and about hold texts; found {bad[:1]}")
    silent = [s.name for s in index.skipped if not s.reason.strip()]
    require(not silent, f"left out without a reason: {silent[:1]}")


@check("return from facts plain texts and numbers by name, the same each time; nothing that identifies a person")
def facts_are_plain(case: Case) -> None:
    """What ``facts`` tells of an image are texts and finite numbers, whose names are texts; a foreign uri raises nothing."""
    if not hasattr(case.obj, "facts"):
        raise NotApplicable("the reader tells nothing beside the pixels (no method `facts`)")
    for uri in [*_some_uris(case), str(case.folder() / "no such file.png")]:
        facts = case.obj.facts(uri)
        require(isinstance(facts, Mapping), f"facts({uri!r}) returned {type(facts).__name__}, not a mapping")
        for name, value in facts.items():
            plain = isinstance(name, str) and isinstance(value, (str, bool, int, float))
            require(plain, f"facts({uri!r})[{name!r}] is {type(value).__name__}, not a text or a number")
            require(not isinstance(value, float) or math.isfinite(value), f"facts({uri!r})[{name!r}] is {value}")
        require(case.obj.facts(uri) == facts, f"two calls of facts({uri!r}) differ")


@check("let unlabelled return all images of the source, without classes: targets [N, 0], task 'multilabel'")
def unlabelled_covers_the_index(case: Case) -> None:
    """``unlabelled`` gives every image of ``index``, by the same name, with no labels."""
    if not hasattr(case.obj, "unlabelled"):
        raise NotApplicable("the reader has no method `unlabelled`: predict takes single images of it only")
    found, index = case.obj.unlabelled(source_of(case)), _index(case)
    require(isinstance(found, Index), f"unlabelled returned {type(found).__name__}, not an Index")
    require(found.classes == () and found.targets.shape == (len(found), 0), "unlabelled gives classes or targets")
    missing = set(index.uris) - set(found.uris)
    require(not missing, f"unlabelled lacks {sorted(missing)[:1]}")
    names = dict(zip(found.uris, found.samples, strict=True))
    other = [s for s, uri in zip(index.samples, index.uris, strict=True) if names[uri] != s]
    require(not other, f"unlabelled gives another name to {other[:1]}")


@check("raise DataError with a sentence for the user where a source cannot be used")
def unusable_sources_are_refused(case: Case) -> None:
    """A source that does not exist raises an error with a message for the user."""
    source = str(case.folder() / "no such place")
    try:
        case.obj.index(source)
    except MedplugError as error:
        require(str(error).strip(), "the error has no message")
        return
    raise CheckError(f"index({source!r}) gave an index of something that does not exist")


@check(
    "return [*S, C] with C 1, 3 or 4: uint8, uint16, or float32 from 0 to 1; load_image does it for files of Pillow's"
)
def loads_pixels(case: Case) -> None:
    """Images have an axis for 1, 3 or 4 channels and one of the three dtypes."""
    axes, deepest, wide = set(), 0, False
    for uri in _some_uris(case):
        image = case.obj.load(uri)
        require(isinstance(image, np.ndarray), f"load({uri!r}) returned {type(image).__name__}, not an array")
        require(image.dtype in _DTYPES, f"load({uri!r}) is {image.dtype}; uint8, uint16 or float32 are asked for")
        require(
            image.ndim >= 3 and image.shape[-1] in (1, 3, 4),
            f"load({uri!r}) has shape {list(image.shape)}, not [*S, C]",
        )
        require(image.size > 0, f"load({uri!r}) has no pixels: {list(image.shape)}")
        if image.dtype == np.float32:
            inside = np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1
            require(inside, f"load({uri!r}) is float32 outside 0 to 1")
        if image.dtype == np.uint16:
            wide, deepest = True, max(deepest, int(image.max()))
        axes.add(image.ndim)
    require(
        not wide or deepest == 0 or deepest > 4095,
        f"uint16 goes from 0 to 65535, but no image exceeds {deepest}: scale by the true bit depth",
    )
    require(len(axes) == 1, f"images have different numbers of axes: {sorted(axes)}")


@check("keep no open file or position in the reader: load is called from several threads")
def loads_in_threads(case: Case) -> None:
    """Four threads load the same pixels as one."""
    uris = _some_uris(case)
    alone = {uri: case.obj.load(uri) for uri in uris}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(case.obj.load, [*uris, *uris, *reversed(uris)]))
    for uri, image in zip([*uris, *uris, *reversed(uris)], together, strict=True):
        require(_same(alone[uri], image), f"load({uri!r}) differs when called from threads")


@check("let a uri and the parameters be all that load needs: it also runs where index was never called")
def loads_after_pickle(case: Case) -> None:
    """A pickled copy loads the same pixels without an index of its own."""
    copy = pickle.loads(pickle.dumps(case.obj))
    for uri in _some_uris(case)[:3]:
        require(_same(case.obj.load(uri), copy.load(uri)), f"load({uri!r}) differs in a copy of the reader")


@check("return from mask None, or a bool array as large as the image without its channels")
def masks_fit_the_images(case: Case) -> None:
    """Where the reader knows a mask, it is bool and has the size of the image."""
    if not hasattr(case.obj, "mask"):
        raise NotApplicable("the reader knows no masks (no method `mask`)")
    _index(case)
    for uri in _some_uris(case):
        mask, shape = case.obj.mask(uri), case.obj.load(uri).shape[:-1]
        fits = mask is None or (isinstance(mask, np.ndarray) and mask.dtype == bool and mask.shape == shape)
        found = f"{getattr(mask, 'dtype', type(mask).__name__)} {list(getattr(mask, 'shape', ()))}"
        require(fits, f"mask({uri!r}) is {found}; bool {list(shape)} or None is asked for")


@check("raise ImageError with the reason where a uri cannot be read")
def unreadable_images_are_told(case: Case) -> None:
    """Missing and broken images raise an error with a message for the user."""
    broken = case.folder() / "broken.png"
    broken.write_bytes(b"this is no image")
    for uri in (str(case.folder() / "no such file.png"), str(broken)):
        try:
            case.obj.load(uri)
        except MedplugError as error:
            require(str(error).strip(), "the error has no message")
            continue
        raise CheckError(f"load({uri!r}) returned something")


def _same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f"))


CHECKS: tuple[Check, ...] = (
    has_data_to_read,
    recognises_its_source,
    can_read_never_raises,
    index_is_sound,
    index_is_stable,
    columns_are_told,
    facts_are_plain,
    unlabelled_covers_the_index,
    unusable_sources_are_refused,
    loads_pixels,
    loads_in_threads,
    loads_after_pickle,
    masks_fit_the_images,
    unreadable_images_are_told,
)
