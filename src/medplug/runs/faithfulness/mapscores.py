"""The maps of one method, and all measures of them: one figure an image, NaN where an image has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from medplug.config.settings import FaithfulnessSettings
from medplug.explain.alarms import BORDER, CORNER
from medplug.explain.faithfulness.agreement import spearman
from medplug.explain.faithfulness.correlation import faithfulness_correlation
from medplug.explain.faithfulness.curves import deletion, insertion
from medplug.explain.faithfulness.infidelity import infidelity, max_sensitivity
from medplug.explain.faithfulness.localisation import mask_overlap, mask_share, pointing_game
from medplug.explain.faithfulness.places import border_share, corner_share, is_constant
from medplug.explain.faithfulness.randomisation import cascade
from medplug.explain.faithfulness.resizing import to_input_size
from medplug.explain.faithfulness.road import road
from medplug.explain.faithfulness.scoring import ScoreFunction
from medplug.model.explain import standardised_explain_function
from medplug.model.network import BuiltNetwork

_BATCH = 8
_SHARES = (0.2, 0.4, 0.6, 0.8)  # of the places that ROAD removes
_SUBSETS = 50
_SHAKES = 5  # slightly changed images, each
Figures = dict[str, np.ndarray]


@dataclass(frozen=True)
class Subjects:
    """What maps are measured on.

    Attributes:
        samples: N names.
        images: ``[N, *S, C]`` float32, standardised.
        classes: ``[N]`` int32, the explained ones.
        keys: ``[N]`` typed random keys, as other maps of these images are made with.
        masks: ``[N, *S]`` bool, empty where nothing is marked; None without any.
        costly: rows for the measures that take many scores an image; the first half of them for those that take maps.
        seed: of what measures draw.
    """

    samples: tuple[str, ...]
    images: np.ndarray
    classes: np.ndarray
    keys: jax.Array
    masks: np.ndarray | None
    costly: np.ndarray
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        """``S``."""
        return self.images.shape[1:-1]

    @property
    def remade(self) -> np.ndarray:
        """Rows for the measures that make maps again."""
        return self.costly[: max(2, len(self.costly) // 2)]


class MethodMaps:
    """Raw maps of one explainer, compiled once for all weights of a network's structure.

    Args:
        network: whose structure counts.
        explainer: the component.
        task: ``"multiclass"`` or ``"multilabel"``.
    """

    def __init__(self, network: BuiltNetwork, explainer: Any, task: str) -> None:
        self._explain = standardised_explain_function(network, explainer, task)
        self._sign = -1 if getattr(explainer, "against", False) else 1  # measures take what speaks for a class

    def __call__(
        self, images: np.ndarray, classes: np.ndarray, keys: jax.Array, network: BuiltNetwork | None = None
    ) -> np.ndarray:
        """Standardised images ``[N, *S, C]`` and classes ``[N]`` to raw maps ``[N, *s]``, of other weights with ``network``."""
        maps = []
        for start in range(0, len(images), _BATCH):
            count = min(_BATCH, len(images) - start)
            rows = np.resize(np.arange(start, start + count), _BATCH)  # one shape for all
            maps.append(np.asarray(self._explain(images[rows], classes[rows, None], keys[rows], network))[:count, 0])
        return self._sign * np.concatenate(maps)


def scores_of_maps(
    score: ScoreFunction, subjects: Subjects, raw: np.ndarray, own: np.ndarray, settings: FaithfulnessSettings
) -> Figures:
    """All measures that need nothing but the maps and the scores of the network.

    Args:
        score: of standardised images.
        subjects: the images.
        raw: ``[N, *s]`` the maps.
        own: ``[N, *S]`` the maps of the run's own method, to agree with.
        settings: which measures.
    """
    maps = to_input_size(raw, subjects.shape)
    wanted, seed, n = set(settings.measures), subjects.seed, len(maps)
    found: Figures = {}
    for name, curve in (("deletion", deletion), ("insertion", insertion)):
        if name in wanted:
            found[name] = curve(score, subjects.images, maps, subjects.classes, settings.steps, seed).auc
    if {"deletion", "insertion"} <= wanted:
        found["margin"] = found["insertion"] - found["deletion"]
    few = subjects.costly
    some = (score, subjects.images[few], maps[few], subjects.classes[few])
    costly: dict[str, Callable[[], np.ndarray]] = {
        "road": lambda: road(*some, shares=_SHARES, seed=seed),
        "correlation": lambda: faithfulness_correlation(*some, subsets=_SUBSETS, seed=seed),
        "infidelity": lambda: infidelity(*some, samples=_SUBSETS, seed=seed),
    }
    found |= {name: _at(few, n, measure()) for name, measure in costly.items() if name in wanted}
    return found | places_of_maps(subjects, maps, own)


def places_of_maps(subjects: Subjects, maps: np.ndarray, own: np.ndarray) -> Figures:
    """Where the maps ``[N, *S]`` lie, against the mask where there is one, the image's edge, and the run's own maps."""
    n = len(maps)
    found: Figures = {}
    if subjects.masks is not None:
        marked = np.flatnonzero(subjects.masks.reshape(n, -1).any(1))
        if len(marked):
            pair = maps[marked], subjects.masks[marked]
            found["pointing"] = _at(marked, n, pointing_game(*pair).astype(np.float64))
            found["mask_share"] = _at(marked, n, mask_share(*pair))
            found["mask_overlap"] = _at(marked, n, mask_overlap(*pair, seed=subjects.seed))
    found["border"] = border_share(maps, BORDER).share
    found["corners"] = corner_share(maps, CORNER).share
    found["constant"] = is_constant(maps).astype(np.float64)
    found["agreement"] = spearman(maps, own)
    return found


def scores_of_method(
    network: BuiltNetwork, make: MethodMaps, subjects: Subjects, raw: np.ndarray, settings: FaithfulnessSettings
) -> tuple[Figures, dict[str, Any]]:
    """The measures that make maps again: of images that hardly differ, and of networks that have forgotten.

    Returns:
        The figures, and ``{"names": [L], "correlations": [L]}`` of the cascade, its means over the images (null where no image
        has one); empty where it is not wanted.
    """
    rows, n = subjects.remade, len(raw)
    images, classes, keys = subjects.images[rows], subjects.classes[rows], subjects.keys[rows]
    found: Figures = {}
    if "max_sensitivity" in settings.measures:
        shaken = max_sensitivity(
            lambda x, c: make(x, c, keys), images, raw[rows], classes, samples=_SHAKES, seed=subjects.seed
        )
        found["max_sensitivity"] = _at(rows, n, shaken)
    if "randomisation" not in settings.measures:
        return found, {}
    steps = cascade(network, lambda other: make(images, classes, keys, other), raw[rows], subjects.seed)
    found["random_weights"] = _at(rows, n, steps.correlations[-1])
    means = [float(np.nanmean(row)) if np.isfinite(row).any() else None for row in steps.correlations]
    return found, {"names": list(steps.names), "correlations": means, "images": len(rows)}


def forwards(settings: FaithfulnessSettings, images: int, costly: int) -> int:
    """Images that go through the network for the measures of one method, without the making of maps."""
    each = (settings.steps + 1) * len({"deletion", "insertion"} & set(settings.measures))
    cost = {"road": 2 * len(_SHARES), "correlation": _SUBSETS + 1, "infidelity": _SUBSETS + 1}
    return images * each + costly * sum(cost[name] for name in settings.measures if name in cost)


def _at(rows: np.ndarray, n: int, values: np.ndarray) -> np.ndarray:
    """Figures of some images in a column of all."""
    column = np.full(n, np.nan)
    column[rows] = values
    return column
