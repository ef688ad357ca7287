"""A folder of explained images: pictures, raw maps, and the listing that says what each is."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from medplug.config.settings import RenderingSettings
from medplug.errors import RunError
from medplug.explain.alarms import incomplete, map_alarms
from medplug.explain.lettering import Lettering
from medplug.explain.overlay import positive_share, render_map, scale_ends
from medplug.explain.panel import Caption, draw_panel
from medplug.explain.sheet import Cell, draw_sheets
from medplug.files import atomic, read_json, write_json
from medplug.params import parameters
from medplug.report.facts import ExplainedImage
from medplug.report.fonts import fonts
from medplug.runs.explaining.captions import caption_of
from medplug.runs.explaining.ground import Ground, drawn_part
from medplug.runs.explaining.maps import MadeMap, MapMaker, Method, Wanted

LISTING = "explanations.json"
OVERLAYS, SHEETS = "overlays", "sheets"
_FILES = ("panel", "overlay", "raw")
_LOOKS = ("style", "levels", "scale", "rectify", "scaling", "colormap", "alpha", "constant_alpha")
_EVERY = 2.0  # seconds between two writings of the listing
_REPORTED = 1024  # pixels of the longer edge of what is read for the report, which shrinks it further

Entry = dict[str, Any]


@dataclass(frozen=True)
class Explained(ExplainedImage):
    """One image with the map of one class, as :meth:`medplug.runs.run.Run.explain` returns it.

    Attributes:
        map: the raw, signed map ``[*s]`` float32.
        panel: the picture with image, map, scale and caption.
        entry: what the listing says of it.
    """

    map: np.ndarray = field(default_factory=lambda: np.zeros((1, 1), np.float32), compare=False, repr=False)
    panel: Path = Path()
    entry: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


class Album:
    """A folder that maps are written into, each as soon as it is made.

    What lies there already is not made again: a raw map whose method, parameters, weights, image and class are the
    same, a picture that would look the same. Used as a context; at its end the listing is written, also after an error.

    Args:
        folder: gets ``NNN-CLASS-SAMPLE.png`` and ``.npz``, ``overlays/`` and the listing.
        settings: how maps are drawn.
        classes: names of the run's classes.
        method: what makes the maps.
        keep: whether what was made there before stays; else the folder has in the end what was added, and no more.
    """

    def __init__(
        self, folder: Path, settings: RenderingSettings, classes: Sequence[str], method: Method, *, keep: bool = False
    ) -> None:
        self.folder, self._settings, self._classes, self._method, self._keep = folder, settings, classes, method, keep
        self._maker = MapMaker(method)
        self._before = {entry.get("key", entry["raw"]): entry for entry in read_listing(folder)}
        self._entries: dict[str, Entry] = dict(self._before) if keep else {}
        self._added: dict[str, None] = {}  # keys of this call, in order
        self._stems = {Path(entry["raw"]).stem for entry in self._before.values()}
        self._alike = {(e["sample"], e["explained"], e["method"]): key for key, e in self._before.items()}
        self._written = time.monotonic()
        self.made = 0  # raw maps that were made, not found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._keep:
            self._remove([entry for key, entry in self._before.items() if key not in self._entries])
        if kind is None or self._added:
            write_json(self.folder / LISTING, list(self._entries.values()))

    def add(self, wanted: Sequence[Wanted], ground: Ground) -> Iterator[Entry]:
        """Make maps, and give the entry of each when it is there; with a shared scale they are drawn by :meth:`finish`.

        Args:
            wanted: maps of a few images, which are held in memory.
            ground: gives the images that maps are drawn on.
        """
        keys = {id(one): one.key(self._method) for one in wanted}
        found = [one for one in wanted if self._is_there(keys[id(one)])]
        missing = [one for one in wanted if not self._is_there(keys[id(one)])]
        for one in found:
            key, facts = keys[id(one)], self._facts(one)
            self._alike.pop((one.sample, facts["explained"], facts["method"]), None)
            self._entries[key] = {**self._before.get(key, {}), **self._entries.get(key, {}), **facts}
            self._added[key] = None
            yield self._drawn(key)
        for part in self._maker.batches(missing):
            for made in part:
                self._save(keys[id(made.wanted)], made, ground)
            for made in part:
                yield self._drawn(keys[id(made.wanted)])

    def finish(self) -> Iterator[Entry]:
        """Draw what waited for the others of its class, and give the entries of all that was added, in order."""
        ends: dict[str, tuple[float, float]] = {}
        for key in self._added:
            low, high = self._entries[key]["raw_range"]
            before = ends.get(self._entries[key]["explained"], (low, high))
            ends[self._entries[key]["explained"]] = min(before[0], low), max(before[1], high)
        for key in self._added:
            entry = self._entries[key]
            if self._settings.scale == "shared":
                self._draw(entry, scale_ends(*ends[entry["explained"]], self._settings))
            self._listed()
            yield entry

    def __len__(self) -> int:
        return len(self._added)

    def write_sheets(self) -> list[Path]:
        """Contact sheets of what was added, one or more a class, in ``sheets/``; call it after :meth:`finish`."""
        by_class: dict[str, list[Entry]] = {}
        for key in self._added:
            by_class.setdefault(self._entries[key]["shown_for"], []).append(self._entries[key])
        paths: list[Path] = []
        for name, entries in by_class.items():
            whose = (
                "each map has its own scale" if self._settings.scale == "image" else "maps of a class share one scale"
            )
            title = f"{name}: {len(entries)} maps by {self._method.name}; {whose}"
            cells = [_cell(self.folder, entry) for entry in entries]
            letters = lettering_for(title, *(cell.name + cell.told for cell in cells))
            for number, sheet in enumerate(draw_sheets(title, cells, letters)):
                path = self.folder / SHEETS / f"{_safe(name)}{f'-{number + 1}' if number else ''}.png"
                while path in paths:  # two classes whose names are told apart by other signs than letters
                    path = path.with_stem(f"{path.stem}_")
                _write_png(path, sheet)
                paths.append(path)
        return paths

    # ------------------------------------------------------------ one map

    def _is_there(self, key: str) -> bool:
        entry = self._entries.get(key) or self._before.get(key)
        return entry is not None and (self.folder / entry["raw"]).exists()

    def _facts(self, one: Wanted) -> Entry:
        return {
            "sample": one.sample,
            "shown_for": self._classes[one.shown_for],
            "explained": self._classes[one.explained],
            "probability": one.probability,
            "labels": list(one.labels),
            "predicted": dict(one.predicted),
            "right": one.right,
            "method": self._method.name,
            "parameters": parameters(self._method.explainer),
            "against": bool(getattr(self._method.explainer, "against", False)),
        }

    def _save(self, key: str, made: MadeMap, ground: Ground) -> None:
        """Write the raw map with its image, and note what is known of it."""
        one, raw = made.wanted, made.raw
        original, place = drawn_part(ground(one), one, raw)
        stem = self._stem(one)
        low, high = float(raw.min()), float(raw.max())
        entry = {
            **self._facts(one),
            "raw_range": [low, high],
            "positive_share": positive_share(raw),
            "positive_evidence": high > 0,
            "completeness_error": made.completeness_error,
            "slice": place,
            "alarms": [*map_alarms(raw), *incomplete(made.completeness_error)],
            "raw": f"{stem}.npz",
            "key": key,
        }
        with atomic(self.folder / entry["raw"], "wb") as stream:
            np.savez_compressed(stream, map=raw, image=original)
        self.made += 1
        self._entries[key] = entry
        self._added[key] = None

    def _drawn(self, key: str) -> Entry:
        entry = self._entries[key]
        if self._settings.scale == "image":
            low, high = entry["raw_range"]
            self._draw(entry, scale_ends(low, high, self._settings))
        self._listed()
        return entry

    def _draw(self, entry: Entry, ends: tuple[float, float]) -> None:
        """Write the pictures of a map, unless they are there and look the same."""
        stem = Path(entry["raw"]).stem
        entry |= {"scale": list(ends), "scale_kind": self._settings.scale}
        caption = caption_of(entry, self._settings, getattr(self._method.explainer, "class_specific", True))
        look = _look(self._settings, ends, caption)
        files = {"panel": f"{stem}.png", "overlay": f"{OVERLAYS}/{stem}.png"}
        if entry.get("look") == look and all((self.folder / name).exists() for name in files.values()):
            return
        raw, image = _stored(self.folder / entry["raw"])
        flat = raw if entry["slice"] is None else raw[tuple(entry["slice"])]
        overlay = render_map(flat, image, self._settings, ends)
        letters = lettering_for(caption.title, *caption.lines)
        _write_png(self.folder / files["overlay"], overlay.picture)
        _write_png(self.folder / files["panel"], draw_panel(flat, image, overlay, self._settings, caption, letters))
        entry |= {**files, "look": look}

    def _stem(self, one: Wanted) -> str:
        """A name for the files: that of the same map by other parameters or weights, which it replaces, or a new one."""
        before = self._alike.pop((one.sample, self._classes[one.explained], self._method.name), None)
        if before is not None:
            entry = self._entries.pop(before, self._before[before])
            del self._before[before]
            return Path(entry["raw"]).stem
        number = len(self._entries)
        rest = f"{_safe(self._classes[one.explained])}-{_safe(Path(one.sample).stem)}"
        while (stem := f"{number:03d}-{rest}") in self._stems:
            number += 1
        self._stems.add(stem)
        return stem

    def _listed(self) -> None:
        """Write the listing now and then, so that whatever happens hardly a map has to be made again."""
        if time.monotonic() - self._written > _EVERY:
            write_json(self.folder / LISTING, list(self._entries.values()))
            self._written = time.monotonic()

    def _remove(self, entries: Sequence[Entry]) -> None:
        kept = {entry.get(name) for entry in self._entries.values() for name in _FILES}
        for entry in entries:
            for name in _FILES:
                if entry.get(name) and entry[name] not in kept:
                    (self.folder / entry[name]).unlink(missing_ok=True)


# ---------------------------------------------------------------- reading


def read_listing(folder: Path) -> list[Entry]:
    """The entries of a folder; none where nothing was written.

    Raises:
        RunError: the listing is damaged.
    """
    path = folder / LISTING
    if not path.exists():
        return []
    try:
        return [dict(entry) for entry in read_json(path) if entry["raw"]]
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged ({error}): remove it, and the maps are made again") from None


def read_explained(folder: Path) -> list[ExplainedImage]:
    """What an album holds that is drawn, in the size that a report needs."""
    return [load_explained(folder, entry, _REPORTED) for entry in read_listing(folder) if entry.get("overlay")]


def load_explained(folder: Path, entry: Mapping[str, Any], longest: int | None = None) -> Explained:
    """The pictures and the raw map of an entry; ``longest`` shrinks what has a longer edge."""
    raw, image = _stored(folder / entry["raw"])
    overlay = (folder / entry["overlay"]).read_bytes()
    original = Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).copy())
    if longest is not None and max(original.size) > longest:
        with Image.open(io.BytesIO(overlay)) as large:
            overlay = _png(_shrunk(large, longest))
        original = _shrunk(original, longest)
    low, high = entry["scale"]
    return Explained(
        shown_for=entry["shown_for"],
        sample=entry["sample"],
        labels=tuple(entry["labels"]),
        explained=entry["explained"],
        probability=entry["probability"],
        method=entry["method"],
        original=_png(original),
        overlay=overlay,
        low=low,
        high=high,
        evidence=entry["positive_evidence"],
        alarms=tuple(entry.get("alarms", ())),
        shared_scale=entry.get("scale_kind") == "shared",
        against=entry.get("against", False),
        map=raw,
        panel=folder / entry.get("panel", entry["overlay"]),
        entry=entry,
    )


def lettering_for(*texts: str) -> Lettering:
    """Faces for these texts: that of Pillow, and those of the system where it lacks letters."""
    # A letter with an accent that no face has is replaced by the plain one, and that is looked for too.
    special = sorted({c for text in texts for c in text if not c.isascii() and unicodedata.category(c)[0] not in "ZC"})
    return _lettering("".join(special))


@lru_cache(maxsize=64)
def _lettering(special: str) -> Lettering:
    with fonts(special) as found:
        return Lettering(found.files[1:], found.replaced)


def _cell(folder: Path, entry: Entry) -> Cell:
    told = f"{entry['explained']} {100 * entry['probability']:.1f} %"
    if not entry["positive_evidence"]:
        told += ", no evidence"
    return Cell(lambda: _opened(folder / entry["overlay"]), entry["sample"], told, entry["right"])


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
        return picture


def _look(settings: RenderingSettings, ends: tuple[float, float], caption: Caption) -> str:
    values = parameters(settings)
    text = json.dumps([[values[name] for name in _LOOKS], ends, caption.title, list(caption.lines)])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _stored(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["map"], arrays["image"]


def _shrunk(picture: Image.Image, longest: int) -> Image.Image:
    small = picture.copy()
    small.thumbnail((longest, longest), Image.Resampling.BILINEAR)
    return small


def _write_png(path: Path, picture: Image.Image) -> None:
    with atomic(path, "wb") as stream:
        picture.save(stream, "PNG", compress_level=4)  # a third faster than the default, and a tenth larger


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40] or "x"
