"""The same picture more than once: byte-identical, pixel-identical, nearly so; across classes and across given parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from medplug.config.settings import CheckSettings
from medplug.data.checks import near
from medplug.data.checks.report import Finding, number, some
from medplug.data.facts import ImageFacts
from medplug.values import Index, Skipped

_EXAMPLES = 3
_LISTED = 20_000  # pairs in checks.json; clusters and names are always complete


def numbered(texts: Sequence[str]) -> np.ndarray:
    """``[N]`` int64: equal texts get the same number, that of the first of them; an empty text equals nothing."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(t, row) if t else row for row, t in enumerate(texts)], np.int64)


def differ(targets: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``[P]`` bool: whether two samples contradict each other in a label that is known of both."""
    a, b = targets[first], targets[second]
    return ((a != b) & ~np.isnan(a) & ~np.isnan(b)).any(1)


def copies(index: Index, facts: Sequence[ImageFacts], identical: np.ndarray) -> list[Finding]:
    """How many pictures occur more than once, as the same bytes and as the same pixels.

    Args:
        index, facts: of the N samples.
        identical: ``[N]``: equal numbers are pixel-identical.
    """
    groups = _groups(identical)
    if not groups:
        return [Finding("duplicates", "ok", "no two images are pixel-identical")]
    files = _groups(numbered([fact.content for fact in facts]))
    pixels, content = _counted(index, groups), _counted(index, files)
    text = (
        f"{number(pixels['groups'], 'picture')} more than once ({number(pixels['surplus'], 'surplus image')}; "
        f"{'all' if content['groups'] == pixels['groups'] else content['groups']} as byte-identical files)"
    )
    if index.splits is not None:
        text += f", {pixels['across_parts']} of them across the given parts"
    text += "; a split keeps them together"
    names = tuple(index.samples[row] for rows in groups for row in rows)
    details = {"pixels": pixels, "bytes": content, "clusters": _named(index, groups)}
    return [Finding("duplicates", "warning" if pixels["across_parts"] else "note", text, names, details)]


def conflicts(index: Index, identical: np.ndarray, settings: CheckSettings) -> tuple[list[Finding], list[Skipped]]:
    """Pixel-identical images whose labels contradict each other: left out, kept, or an error."""
    found = [rows for rows in _groups(identical) if _contradict(index.targets, rows)]
    if not found:
        return [], []
    texts = ["; ".join(f"{index.samples[r]} is {index.label_text(r) or 'none'}" for r in rows) for rows in found]
    names = tuple(index.samples[r] for rows in found for r in rows)
    what = f"{number(len(found), 'picture')} with pixel-identical copies under different labels: {some(texts)}"
    details = {"clusters": _named(index, found)}
    if settings.conflicts == "error":
        text = f"{what}. Correct the labels, or leave the images out with checks.conflicts=leave_out"
        return [Finding("conflicts", "error", text, names, details)], []
    if settings.conflicts == "keep":
        return [Finding("conflicts", "warning", f"{what}; kept as they are", names, details)], []
    bad = [Skipped(name, "pixel-identical to an image with another label") for name in names]
    return [Finding("conflicts", "warning", f"{what}; all of them are left out", names, details)], bad


def near_duplicates(
    index: Index, thumbs: np.ndarray, identical: np.ndarray, alike: np.ndarray, settings: CheckSettings
) -> tuple[list[Finding], np.ndarray]:
    """Findings on images that look the same, and ``[N]`` int64: which must share a part of the split.

    Clusters are joined from pairs of :func:`near.near_pairs` and from pixel-identical images; those that swell
    (:func:`near.swollen`) are only reported, and give way to ``alike``, what must stay together anyway.
    """
    found = near.near_pairs(thumbs, settings.near_correlation)
    if not found.complete:
        text = "so many images look alike that near-duplicates cannot be told from the rest; only groups given by the data can keep them apart"
        return [Finding("near_suspects", "warning", text)], alike
    doubts = _outlines(index, found.take(~found.believed()))
    pairs = found.take(found.believed())
    if not len(pairs):
        text = "no two images look the same, also when mirrored or turned"
        return [Finding("near", "ok", text, details={"pairs": 0}), *doubts], alike
    same = [edge for rows in _groups(identical) for edge in pairwise(rows)]
    joined = np.array(same, np.int64).reshape(-1, 2)
    first, second = np.concatenate([pairs.first, joined[:, 0]]), np.concatenate([pairs.second, joined[:, 1]])
    cluster = near.clusters(len(index), first, second)
    giants = near.swollen(cluster, pairs.first)
    doubtful = np.isin(cluster, giants)
    findings = [_near(index, pairs, cluster, identical, settings)]
    if len(giants):
        findings.append(_suspects(index, cluster, giants))
    findings += [*doubts, *_across(index, pairs, identical)]
    return findings, np.where(doubtful, alike, cluster) if settings.near == "together" else alike


def _near(
    index: Index, pairs: near.NearPairs, cluster: np.ndarray, identical: np.ndarray, settings: CheckSettings
) -> Finding:
    rows = np.union1d(pairs.first, pairs.second)
    groups = [group for group in _groups(cluster) if not (identical[group] == identical[group[0]]).all()]
    turned, exact = int((pairs.symmetry > 0).sum()), int((identical[pairs.first] == identical[pairs.second]).sum())
    text = (
        f"{number(len(pairs), 'pair')} of images look the same ({len(rows):,} images; {exact:,} pixel-identical, "
        f"{turned:,} mirrored or turned; correlation of thumbnails above {settings.near_correlation:g})"
    )
    if groups and settings.near == "together":
        text += f"; {number(len(groups), 'cluster')}, kept together by a split"
    details = {
        "pairs": len(pairs), "as_they_are": len(pairs) - turned, "mirrored_or_turned": turned, "pixel_identical": exact,
        "images": len(rows), "limit": settings.near_correlation, "clusters": _named(index, _groups(cluster)), "list": _listed(index, pairs),
    }  # fmt: skip
    return Finding("near", "note", text, tuple(index.samples[r] for r in rows.tolist()), details)


def _listed(index: Index, pairs: near.NearPairs) -> list[dict[str, object]]:
    contrary = differ(index.targets, pairs.first, pairs.second)
    columns = (pairs.first, pairs.second, pairs.correlation, pairs.inside, pairs.symmetry, contrary)
    return [
        {
            "first": index.samples[a], "second": index.samples[b], "correlation": round(r, 5),
            "inside": None if np.isnan(inside) else round(inside, 4), "symmetry": near.SYMMETRIES[how],
            "labels_differ": differs,
        }
        for a, b, r, inside, how, differs in zip(*(column[:_LISTED].tolist() for column in columns), strict=True)
    ]  # fmt: skip


def _suspects(index: Index, cluster: np.ndarray, giants: np.ndarray) -> Finding:
    groups = [np.flatnonzero(cluster == giant).tolist() for giant in giants]
    names = tuple(index.samples[row] for rows in groups for row in rows)
    text = (
        f"{number(len(giants), 'cluster')} of images that look alike swell to {max(map(len, groups)):,} images: either all "
        "images of this kind resemble each other, or many show one patient; they are not kept together. "
        "Name the patients (a group column), or raise checks.near_correlation"
    )
    return Finding("near_suspects", "warning", text, names, {"clusters": _named(index, groups)})


def _outlines(index: Index, pairs: near.NearPairs) -> list[Finding]:
    if not len(pairs):
        return []
    rows = np.union1d(pairs.first, pairs.second)
    names = tuple(index.samples[r] for r in rows.tolist())
    text = (
        f"{number(len(pairs), 'pair')} of images ({len(rows):,} images) have the same outline but differ inside; they are not "
        "taken for near-duplicates"
    )
    return [Finding("near_outlines", "note", text, names, {"pairs": len(pairs), "list": _listed(index, pairs)})]


def _across(index: Index, pairs: near.NearPairs, identical: np.ndarray) -> list[Finding]:
    findings = []
    contrary = differ(index.targets, pairs.first, pairs.second)
    if contrary.any():
        chosen, what = pairs.take(contrary), "of images that look the same carry different labels"
        findings.append(_apart("near_classes", what, index, chosen, identical, index.label_text))
    if index.splits is not None:
        part = np.asarray(index.splits)
        torn = (part[pairs.first] != part[pairs.second]) & (part[pairs.first] != "") & (part[pairs.second] != "")
        if torn.any():
            chosen, what = pairs.take(torn), "of images that look the same lie in different given parts"
            findings.append(_apart("near_parts", what, index, chosen, identical, lambda row: str(part[row])))
    return findings


def _apart(
    check: str, what: str, index: Index, pairs: near.NearPairs, identical: np.ndarray, word: Callable[[int], str]
) -> Finding:
    exact = int((identical[pairs.first] == identical[pairs.second]).sum())
    edges = list(zip(pairs.first[:_EXAMPLES].tolist(), pairs.second[:_EXAMPLES].tolist(), strict=True))
    told = "; ".join(" and ".join(f"{index.samples[row]} ({word(row) or 'none'})" for row in edge) for edge in edges)
    more = f" and {len(pairs) - _EXAMPLES:,} more" if len(pairs) > _EXAMPLES else ""
    also = f" ({exact:,} of them pixel-identical)" if exact else ""
    rows = np.union1d(pairs.first, pairs.second).tolist()
    details = {"pairs": len(pairs), "images": len(rows), "pixel_identical": exact, "list": _listed(index, pairs)}
    text = f"{number(len(pairs), 'pair')} {what}{also}: {told}{more}"
    return Finding(check, "warning", text, tuple(index.samples[row] for row in rows), details)


def _groups(numbers: np.ndarray) -> list[list[int]]:
    """Rows that share a number with another row, in ascending order."""
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    found = [rows.tolist() for rows in np.split(order, cuts) if len(rows) > 1]
    return sorted(found)


def _counted(index: Index, groups: list[list[int]]) -> dict[str, int]:
    parts = None if index.splits is None else np.asarray(index.splits)
    return {
        "groups": len(groups),
        "images": sum(map(len, groups)),
        "surplus": sum(len(rows) - 1 for rows in groups),
        "across_classes": sum(_contradict(index.targets, rows) for rows in groups),
        "across_parts": 0 if parts is None else sum(len(set(parts[rows].tolist()) - {""}) > 1 for rows in groups),
    }


def _contradict(targets: np.ndarray, rows: list[int]) -> bool:
    known = ~np.isnan(targets[rows])
    values = targets[rows]
    return bool((np.where(known, values, -np.inf).max(0) > np.where(known, values, np.inf).min(0)).any())


def _named(index: Index, groups: list[list[int]]) -> list[list[str]]:
    return [[index.samples[row] for row in rows] for rows in groups]
