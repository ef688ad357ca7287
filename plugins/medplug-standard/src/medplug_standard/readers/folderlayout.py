"""Class folders: which part of a path is the class, which the given split, which the site. Paths alone decide."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from medplug.plugins import DataError, Skipped
from medplug_standard.readers.files import SPLIT_NAMES, count, some


@dataclass(frozen=True, slots=True)
class Row:
    """One image: its name, its class, the rest of its path within the class folder, its given split, its site."""

    name: str
    label: str
    rest: str
    split: str = ""
    site: str = ""


def arrange(
    source: str, names: list[str], wanted: tuple[str, ...], sites: str = "none"
) -> tuple[list[Row], list[Skipped], list[str]]:
    """Which part of each path is what; the images that are in no class folder; notes.

    Args:
        source: what the user named, for messages.
        names: paths of images, relative, with forward slashes.
        wanted: classes that the user named: no folder of such a name is a split.
        sites: where folders of sites are: ``above`` the class folders, ``below`` them, or ``none``.
    """
    if sites == "above":
        return _by_site(source, names, wanted)
    shell = _shell(names, wanted)
    prefix = f"{shell}/" if shell else ""
    rows, skipped, notes = _arranged(source, names, wanted, prefix)
    if sites == "below":
        rows = [replace(row, site=row.rest.partition("/")[0] if "/" in row.rest else "") for row in rows]
        if not any(row.site for row in rows):
            raise DataError(f"{source}: reader.sites=below, but no image is in a folder within its class folder")
        notes.append(_told_sites({row.site for row in rows if row.site}, "within the class folders"))
        without = sum(not row.site for row in rows)
        if without:
            notes.append(f"{count(without, 'image')} in no folder of a site")
    return rows, skipped, ([f"the class folders are those in {prefix}"] if shell else []) + notes


def _by_site(source: str, names: list[str], wanted: tuple[str, ...]) -> tuple[list[Row], list[Skipped], list[str]]:
    """``SITE/CLASS/…`` or ``SITE/SPLIT/CLASS/…``: the folders of each site are read as a data set of their own."""
    below: dict[str, list[str]] = defaultdict(list)
    skipped = [Skipped(name, "in no folder of a site") for name in names if "/" not in name]
    for name in names:
        if "/" in name:
            below[name.partition("/")[0]].append(name)
    rows: list[Row] = []
    notes = [_told_sites(set(below), "above the class folders")]
    for site, own in sorted(below.items()):
        found, left, more = _arranged(source, own, wanted, f"{site}/")
        rows += [replace(row, site=site, rest=f"{site}/{row.rest}") for row in found]
        skipped += left
        notes += more
    return rows, skipped, notes


def _told_sites(sites: set[str], where: str) -> str:
    return f"{count(len(sites), 'site')}, from the folders {where}: {some(sorted(sites))}"


def _arranged(
    source: str, names: list[str], wanted: tuple[str, ...], prefix: str
) -> tuple[list[Row], list[Skipped], list[str]]:
    skipped = [Skipped(n, "not in a class folder") for n in names if "/" not in n[len(prefix) :]]
    parts = [(n, n[len(prefix) :].split("/")) for n in names if "/" in n[len(prefix) :]]
    with_classes = {p[0] for _, p in parts if len(p) > 2}
    flat = {p[0] for _, p in parts if len(p) == 2}
    given = {top for top in with_classes | flat if _is_split(top) and top not in wanted}
    if given & (with_classes - flat):
        rows, left, notes = _split_outside(source, prefix, parts, given, with_classes | flat)
    else:
        rows, left, notes = _split_inside(source, prefix, parts, given)
    return rows, skipped + left, notes


def _shell(names: list[str], wanted: tuple[str, ...]) -> str:
    """The one folder that holds everything, as archives often unpack to; empty if there is none."""
    tops = {n.split("/")[0] for n in names}
    if len(tops) != 1:
        return ""
    top = tops.pop()
    if _is_split(top) or top in wanted or any(n.count("/") < 2 for n in names):
        return ""
    return top


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_NAMES


def _split_outside(
    source: str, prefix: str, parts: list[tuple[str, list[str]]], given: set[str], tops: set[str]
) -> tuple[list[Row], list[Skipped], list[str]]:
    """``SPLIT/CLASS/…``. Images outside class folders, and folders beside the splits, are left out."""
    beside = sorted(tops - given)
    if beside and not any(SPLIT_NAMES[top.lower()] == "train" for top in given):
        raise DataError(
            f"{source}: both split folders ({some(sorted(given))}) and other folders with images ({some(beside)}), "
            "so it is not clear which are the classes; move the one kind elsewhere, or name the classes: "
            "--set reader.classes=…"
        )
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for name, p in parts:
        if p[0] not in given:
            skipped.append(Skipped(name, "in a folder beside the split folders"))
        elif len(p) < 3:
            skipped.append(Skipped(name, "not in a class folder of its split"))
        else:
            rows.append(Row(name, p[1], "/".join(p[2:]), SPLIT_NAMES[p[0].lower()]))
    words = ", ".join(f"{prefix}{top} -> {SPLIT_NAMES[top.lower()]}" for top in sorted(given))
    notes = [f"given splits, from the folders: {words}"]
    if beside:
        notes.append(f"left out, because beside the split folders: {some(beside)}")
    return rows, skipped, notes


def _split_inside(
    source: str, prefix: str, parts: list[tuple[str, list[str]]], unlabelled: set[str]
) -> tuple[list[Row], list[Skipped], list[str]]:
    """``CLASS/…``, or ``CLASS/SPLIT/…`` if that holds for every image. Split folders without classes are left out."""
    skipped = [Skipped(name, "in a split folder without class folders") for name, p in parts if p[0] in unlabelled]
    parts = [(name, p) for name, p in parts if p[0] not in unlabelled]
    if unlabelled and not parts:
        raise DataError(
            f"{source}: {some(sorted(unlabelled))} hold images but no class folders; expected is "
            f"{prefix}SPLIT/CLASS/IMAGE"
        )
    notes = []
    if unlabelled:
        notes.append(f"left out, being named like splits without class folders: {some(sorted(unlabelled))}")
    if parts and all(len(p) > 2 and _is_split(p[1]) for _, p in parts):
        words = ", ".join(f"{n} -> {SPLIT_NAMES[n.lower()]}" for n in sorted({p[1] for _, p in parts}))
        notes.append(f"given splits, from the folders within the class folders: {words}")
        return [Row(n, p[0], "/".join(p[2:]), SPLIT_NAMES[p[1].lower()]) for n, p in parts], skipped, notes
    return [Row(n, p[0], "/".join(p[1:])) for n, p in parts], skipped, notes
