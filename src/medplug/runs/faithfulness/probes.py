"""Probes for shortcuts over the whole test part: parts of the images hidden, mean maps of the classes, clusters of maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.scores import score
from medplug.explain.alarms import BORDER, HEAVY, even_shares, heavy_share
from medplug.explain.faithfulness.places import border_share
from medplug.explain.faithfulness.resizing import to_input_size
from medplug.explain.overlay import render_map
from medplug.files import atomic
from medplug.model.apply import in_parts, probabilities
from medplug.model.explain import image_keys
from medplug.model.network import BuiltNetwork
from medplug.pixels import resize
from medplug.progress import Reporter
from medplug.runs.faithfulness.images import TestImages
from medplug.runs.faithfulness.mapscores import MethodMaps
from medplug.runs.folder import EXPLANATIONS
from medplug.seeds import child_seed
from medplug.values import Predictions

if TYPE_CHECKING:
    from medplug.runs.run import Run

PICTURES = "faithfulness"
CONDITIONS = ("plain", "centre_hidden", "border_only", "hidden")
KEPT = 0.5
"""Share of what the network knows from whole images that may be left with the border alone before it is told as an alarm."""
_EDGE = 32  # of the maps that are averaged
_COARSE = 8  # of the maps that are clustered
_THUMB = 96  # of the images below mean maps
_DRAWN = 320
_BATCH = 32
_MOST_CLUSTERS, _LEAST_IMAGES = 6, 8
_SILHOUETTE = 0.1  # below it there is one cluster


@dataclass
class _Seen:
    """What one pass over the test images leaves.

    Attributes:
        rows: of the predictions, ``[N]``.
        outputs: probabilities ``[N, K]`` by condition.
        maps: ``[N, *s]`` positive evidence that sums to 1, or to 0 where there is none.
        thumbs: ``[N, h, w, C]`` uint8.
    """

    rows: np.ndarray
    outputs: dict[str, np.ndarray]
    maps: np.ndarray
    thumbs: np.ndarray


def probe(run: Run, test: TestImages, most: int, name: str, explainer: Any, reporter: Reporter) -> dict[str, Any]:
    """Run all probes, with pictures in ``explanations/faithfulness/``.

    Args:
        run: a finished run.
        test: its test images.
        most: images that are looked at; more are drawn from at random.
        name, explainer: the run's own method, whose maps are averaged and clustered.
        reporter: shows progress.

    Returns:
        The part ``probes`` of ``faithfulness.json``.
    """
    rows = np.arange(len(test.predictions.samples))
    if len(rows) > most:
        drawn = np.random.default_rng(child_seed(run.config.seed, "probes")).permutation(rows)[:most]
        rows = np.sort(drawn)
    reporter.say(
        f"probes for shortcuts: {len(rows)} test images, {len(CONDITIONS)} ways to show them, and a map of each"
    )
    seen = _look(run, test, rows, explainer, reporter)
    out = run.folder / EXPLANATIONS / PICTURES
    predicted = seen.outputs["plain"].argmax(1)
    means = {c: np.flatnonzero(predicted == k) for k, c in enumerate(run.classes) if (predicted == k).any()}
    clusters = _clusters(seen, child_seed(run.config.seed, "clusters"))
    draw = _Drawer(out, seen, run)
    classes = [draw.mean(f"class-{number:02d}", c, members) for number, (c, members) in enumerate(means.items(), 1)]
    groups = [draw.cluster(number, members, test.predictions) for number, members in enumerate(clusters, 1)]
    hidden = _hidden(run, test.predictions, seen)
    with atomic(out / "mean-maps.npz", "wb") as stream:
        np.savez_compressed(
            stream,
            **{
                one["picture"].removesuffix(".png"): seen.maps[one.pop("members")].mean(0)
                for one in [*classes, *groups]
            },
        )
    return {
        "images": len(rows),
        "method": name,
        "without_evidence": int((seen.maps.reshape(len(rows), -1).sum(1) == 0).sum()),
        "even_border": even_shares(seen.maps.shape[1:])[0],
        "hidden_parts": hidden,
        "classes": classes,
        "clusters": groups,
        "alarms": _alarms(hidden, [*classes, *groups], seen.maps.shape[1:]),
    }


# ---------------------------------------------------------------- one pass over the images


def _look(run: Run, test: TestImages, rows: np.ndarray, explainer: Any, reporter: Reporter) -> _Seen:
    network, size = run.network, min(_BATCH, len(rows))
    forward, standardise = _forward(network, run.task), jax.jit(network.standardise)
    make = MethodMaps(network, explainer, run.task)
    outputs: dict[str, list[np.ndarray]] = {name: [] for name in CONDITIONS}
    maps, thumbs, kept = [], [], None
    with reporter.task("probing", len(rows), "images") as task:
        for part, pixels in test.batches(rows.tolist(), size):
            x = np.asarray(standardise(pixels[np.resize(np.arange(len(part)), size)]))
            kept = kept_parts(x.shape[1:-1]) if kept is None else kept
            for name, mask in kept.items():
                outputs[name].append(np.asarray(forward(x, mask), np.float64)[: len(part)])
            x = x[: len(part)]
            samples = [test.predictions.samples[row] for row in part.tolist()]
            explained = outputs["plain"][-1].argmax(1).astype(np.int32)
            maps.append(evidence(make(x, explained, image_keys(run.config.seed, samples)), x.shape[1:-1]))
            thumbs.append(_thumbs(pixels))
            task.advance(len(part))
    return _Seen(
        rows,
        {name: np.concatenate(parts) for name, parts in outputs.items()},
        np.concatenate(maps),
        np.concatenate(thumbs),
    )


def kept_parts(shape: Sequence[int]) -> dict[str, np.ndarray]:
    """What is left of an image of ``shape`` in each condition, ``[*S]`` bool: all, all but the middle half of its area, its border, nothing."""
    axes = len(shape)
    inner, outer = [], []
    for axis, edge in enumerate(shape):
        along = np.abs((np.arange(edge) + 0.5) / edge - 0.5).reshape([-1 if a == axis else 1 for a in range(axes)])
        inner.append(np.broadcast_to(along < 0.5 * 0.5 ** (1 / axes), tuple(shape)))
        outer.append(np.broadcast_to(along > 0.5 - BORDER, tuple(shape)))
    whole = np.ones(tuple(shape), bool)
    return dict(zip(CONDITIONS, (whole, ~np.all(inner, axis=0), np.any(outer, axis=0), ~whole), strict=True))


def _forward(network: BuiltNetwork, task: str) -> Callable[[Any, np.ndarray], jax.Array]:
    """Standardised images and what is kept of them to probabilities; what is hidden becomes 0, the grey of standardised images."""
    graph, state = nnx.split(network.module)

    @jax.jit
    def forward(state: Any, images: jax.Array, kept: jax.Array) -> jax.Array:
        def part(x: jax.Array) -> jax.Array:
            return nnx.merge(graph, state, copy=True)(x).astype(jnp.float32)

        return probabilities(in_parts(part, jnp.where(kept[..., None], images, 0.0)), task)

    return lambda images, kept: forward(state, images, kept)


def evidence(raw: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Raw maps ``[N, *s]`` to positive evidence that sums to 1 an image, averaged to at most 32 places along each axis."""
    maps = np.maximum(raw, 0)
    for axis, given in enumerate(maps.shape[1:], 1):
        edge = min(_EDGE, shape[axis - 1])
        times = max(1, -(-given // edge))
        fine = tuple(edge * times if a == axis else n for a, n in enumerate(maps.shape[1:], 1))
        maps = to_input_size(maps, fine)
        maps = maps.reshape(*maps.shape[:axis], edge, times, *maps.shape[axis + 1 :]).mean(axis + 1)
    total = maps.reshape(len(maps), -1).sum(1).reshape(-1, *(1,) * (maps.ndim - 1))
    return np.divide(maps, total, out=np.zeros_like(maps), where=total > 0)


def _thumbs(pixels: np.ndarray) -> np.ndarray:
    """Small pictures ``[N, h, w, C]`` uint8; of volumes the mean along the leading axes."""
    while pixels.ndim > 4:
        pixels = pixels.mean(1).round().astype(np.uint8)
    edge = min(_THUMB, max(pixels.shape[1:3]))
    return np.stack([resize(one, edge) for one in pixels])


# ---------------------------------------------------------------- hidden parts


def _hidden(run: Run, predictions: Predictions, seen: _Seen) -> dict[str, Any]:
    """Figures of each condition, and how much of what is known from whole images is left."""
    metrics = run._metrics(run.config)
    told = [name for name, metric in metrics.items() if getattr(metric, "reading", "")]
    chosen = {name: metrics[name] for name in [*told, *metrics][:2]} if metrics else {}
    settings = run.config.evaluation
    intervals = IntervalSettings(settings.resamples, settings.confidence, child_seed(run.config.seed, "bootstrap"))
    assert predictions.targets is not None  # a test part has labels
    labelled = replace(
        predictions,
        samples=tuple(predictions.samples[row] for row in seen.rows),
        targets=predictions.targets[seen.rows],
        groups=None if predictions.groups is None else predictions.groups[seen.rows],
        columns={},
    )
    figures = {
        name: score(replace(labelled, probabilities=_rows_of_one(p, run.task)), chosen, intervals=intervals)["macro"]
        for name, p in seen.outputs.items()
    }
    left = {
        name: {metric: _left(figures, name, metric, chosen[metric]) for metric in chosen}
        for name in ("centre_hidden", "border_only")
    }
    return {"metrics": list(chosen), "figures": figures, "left": left}


def _rows_of_one(p: np.ndarray, task: str) -> np.ndarray:
    return p / p.sum(1, keepdims=True) if task == "multiclass" else p


def _left(figures: Mapping[str, Any], condition: str, name: str, metric: Any) -> float | None:
    """The gain over an image of nothing, as a share of the gain of the whole image; None where that has none."""
    whole, part, nothing = (figures[c].get(name, {}).get("value") for c in ("plain", condition, "hidden"))
    if whole is None or part is None or nothing is None:
        return None
    gain = (whole - nothing) if metric.higher_is_better else (nothing - whole)
    if gain <= 0:
        return None
    return float((part - nothing) / (whole - nothing))


# ---------------------------------------------------------------- clusters


def _clusters(seen: _Seen, seed: int) -> list[np.ndarray]:
    """Rows of ``seen`` by cluster, the largest first: k-means on coarse maps, as many as the silhouette likes best.

    Reference: Lapuschkin et al. 2019, "Unmasking Clever Hans predictors and assessing what machines really learn" (SpRAy,
    which clusters by the spectrum of a neighbourhood graph).
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    there = np.flatnonzero(seen.maps.reshape(len(seen.maps), -1).sum(1) > 0)
    if len(there) == 0:
        return []
    coarse = coarse_maps(seen.maps[there])
    most = min(_MOST_CLUSTERS, len(there) // _LEAST_IMAGES, len(np.unique(coarse, axis=0)) - 1)
    best, labels = _SILHOUETTE, np.zeros(len(there), np.int64)
    for k in range(2, most + 1):
        found = KMeans(k, n_init="auto", random_state=seed).fit_predict(coarse)
        if len(np.unique(found)) < 2:
            continue
        shape = float(silhouette_score(coarse, found, sample_size=min(1000, len(coarse)), random_state=seed))
        if shape > best:
            best, labels = shape, found
    members = [there[labels == c] for c in np.unique(labels)]
    return sorted((m for m in members if len(m)), key=lambda m: (-len(m), int(m[0])))


def coarse_maps(maps: np.ndarray) -> np.ndarray:
    """Maps ``[N, *s]`` as rows of at most 8 places along each axis, each the sum of its part."""
    for axis in range(1, maps.ndim):
        parts = np.array_split(np.arange(maps.shape[axis]), min(_COARSE, maps.shape[axis]))
        maps = np.stack([np.take(maps, part, axis).sum(axis) for part in parts], axis)
    return maps.reshape(len(maps), -1)


# ---------------------------------------------------------------- pictures and words


class _Drawer:
    """Mean maps over mean images."""

    def __init__(self, out: Path, seen: _Seen, run: Run) -> None:
        self._out, self._seen, self._run = out, seen, run

    def mean(self, stem: str, name: str, members: np.ndarray) -> dict[str, Any]:
        """The mean map of some images, drawn: its name, its picture, and where its evidence lies."""
        mean = self._seen.maps[members].mean(0)
        flat = mean
        while flat.ndim > 2:
            flat = flat.mean(0)
        ground = self._seen.thumbs[members].mean(0).round().astype(np.uint8)
        ground = resize(ground if ground.shape[-1] in (1, 3) else ground[..., :3], _DRAWN)
        picture = f"{stem}.png"
        drawn = render_map(flat.astype(np.float32), ground, self._run.config.rendering).picture
        with atomic(self._out / picture, "wb") as stream:
            drawn.save(stream, "PNG")
        border = border_share(mean[None], BORDER).share[0]
        return {
            "name": name,
            "images": len(members),
            "picture": picture,
            "border": None if np.isnan(border) else float(border),
            "members": members,
        }

    def cluster(self, number: int, members: np.ndarray, predictions: Predictions) -> dict[str, Any]:
        """The same of a cluster, with its classes, how many of its images are predicted rightly, and the most typical three."""
        maps = self._seen.maps[members].reshape(len(members), -1)
        typical = members[np.argsort(((maps - maps.mean(0)) ** 2).sum(1), kind="stable")[:3]]
        rows, classes = self._seen.rows[members], predictions.classes
        predicted = self._seen.outputs["plain"][members].argmax(1)
        assert predictions.targets is not None  # a test part has labels
        labels = predictions.targets[rows] >= 0.5
        return {
            **self.mean(f"cluster-{number}", f"cluster {number}", members),
            "predicted": {c: int((predicted == k).sum()) for k, c in enumerate(classes) if (predicted == k).any()},
            "labels": {c: int(labels[:, k].sum()) for k, c in enumerate(classes) if labels[:, k].any()},
            "right": int(labels[np.arange(len(members)), predicted].sum()),
            "examples": [predictions.samples[self._seen.rows[row]] for row in typical.tolist()],
        }


def _alarms(
    hidden: Mapping[str, Any], means: Sequence[Mapping[str, Any]], shape: tuple[int, ...]
) -> list[dict[str, Any]]:
    found = []
    leading = hidden["metrics"][0] if hidden["metrics"] else ""
    left = hidden["left"]["border_only"].get(leading)
    if left is not None and left >= KEPT:
        told = (
            f"With nothing but the outer tenth of the images the network keeps {100 * left:.0f} % of what it gains from whole images "
            f"({leading}; the alarm begins at {100 * KEPT:.0f} %): the border tells the class. Look for markers, frames, text and "
            "differences between scanners."
        )
        found.append({"kind": "border_only", "value": left, "limit": KEPT, "text": told})
    even = even_shares(shape)[0]
    limit = heavy_share(even)
    for one in means:
        if one["border"] is not None and one["border"] >= limit:
            told = (
                f"Mean map of {one['name']}: {100 * one['border']:.0f} % of the evidence lies on the border of the images, where an "
                f"even map has {100 * even:.0f} % (the alarm begins at {100 * limit:.0f} %: {HEAVY:g} times the evidence per pixel of "
                "the rest)."
            )
            found.append({"kind": "border", "value": one["border"], "limit": limit, "text": told})
    return found
