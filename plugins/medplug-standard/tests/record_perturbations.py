"""Record occlusion, LIME and RISE of captum and of the authors' code; run by hand, in an environment that has them.

    python -m venv xaienv && xaienv/bin/pip install torch==2.13.0 captum==0.9.0 lime==0.2.0.1 scikit-image==0.26.0 jax==0.10.2
    PYTHONPATH=src xaienv/bin/python plugins/medplug-standard/tests/record_perturbations.py

Writes ``perturbations.npz`` beside this script, of the first two images and the classes 1 and 3: maps ``[2, 2, 32, 20]`` of
occlusion and RISE, weights ``[2, 2, K]`` of LIME's superpixels, and what was drawn. The network computes in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import Lime, Occlusion
from explainer_torch import Network, images
from lime.lime_image import LimeImageExplainer
from skimage.transform import resize

TARGETS = (1, 3)
PATCHES = ((8, 4), (6, 5), (16, 16))  # patch and stride; the second leaves a rest at every edge
SEGMENTS, SAMPLES, WIDTH = 12, 80, 0.25
MASKS, CELLS, SHOWN = 30, 7, 0.5


def occlusion(network: Network, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Maps ``[B, T, H, W]`` of the loss of logits, over images that are not square."""
    found = {}
    for patch, stride in PATCHES:
        maps = [
            Occlusion(network).attribute(
                x, target=t, sliding_window_shapes=(3, patch, patch), strides=(3, stride, stride), baselines=0
            )
            for t in TARGETS
        ]
        assert all(torch.equal(m[:, 0], m[:, c]) for m in maps for c in (1, 2))  # a patch covers all channels
        found[f"occlusion/{patch}/{stride}"] = torch.stack([m[:, 0] for m in maps], 1).numpy()
    return found


def lime(network: Network, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Superpixels, draws, and the weights ``[B, T, K]`` of the authors' package and of captum from the same draws."""
    pixels = x.permute(0, 2, 3, 1).numpy()
    rng, edge = np.random.default_rng(4), x.shape[-1]
    seeds = rng.uniform(0, edge, (len(x), SEGMENTS, 1, 1, 2))
    away = np.abs(np.stack(np.mgrid[:edge, :edge], -1) - seeds).sum(-1)
    segments = away.argmin(1)  # [B, H, W], the nearest of some random places
    count = len(np.unique(segments[0]))
    assert all(np.array_equal(np.unique(s), np.arange(count)) for s in segments)
    shown, authors, captums = [], [], []
    for n, (one, segment) in enumerate(zip(x, segments, strict=True)):
        draws = np.random.RandomState(n).randint(0, 2, SAMPLES * count).reshape(SAMPLES, count)
        draws[0] = 1  # as the package does it
        shown.append(draws)
        authors.append(_authors(network, pixels[n], segment, count, n))
        captums.append([_captum(network, one[None], segment, draws, t) for t in TARGETS])
    return {
        "lime/segments": segments.astype(np.uint8),
        "lime/shown": np.stack(shown).astype(bool),
        "lime/authors": np.stack(authors),
        "lime/captum": np.stack(captums),
    }


def _authors(network: Network, pixels: np.ndarray, segment: np.ndarray, count: int, seed: int) -> np.ndarray:
    def classify(batch: Any) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)).softmax(1).numpy()

    found = LimeImageExplainer(kernel_width=WIDTH, random_state=np.random.RandomState(seed)).explain_instance(
        pixels,
        classify,
        labels=TARGETS,
        top_labels=None,
        hide_color=0,
        num_features=count,
        num_samples=SAMPLES,
        segmentation_fn=lambda _: segment,
        random_seed=0,  # else one is drawn before the choices are
    )
    weights = np.zeros((len(TARGETS), count))
    for row, target in enumerate(TARGETS):
        for feature, weight in found.local_exp[target]:
            weights[row, feature] = weight
    return weights


def _captum(network: Network, one: torch.Tensor, segment: np.ndarray, draws: np.ndarray, target: int) -> np.ndarray:
    def near(_: Any, __: Any, z: torch.Tensor, **___: Any) -> torch.Tensor:
        distance = 1 - torch.nn.functional.cosine_similarity(z.double(), torch.ones_like(z).double())
        return torch.exp(-(distance**2) / (2 * WIDTH**2))

    def drawn(_: Any, **__: Any) -> Iterator[torch.Tensor]:
        yield from torch.from_numpy(draws)[:, None]

    explainer = Lime(lambda x: network(x).softmax(1), SkLearnRidge(alpha=1.0), near, drawn)
    weights = explainer.attribute(
        one, target=target, feature_mask=torch.from_numpy(segment)[None, None], n_samples=len(draws),
        return_input_shape=False,
    )  # fmt: skip
    return weights[0].numpy()


def rise(network: Network, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Draws, some masks, and the maps ``[B, T, H, W]`` of the paper's formula, with masks made as in the authors' code."""
    rng = np.random.default_rng(5)
    size = np.array(x.shape[2:])
    cell = np.ceil(size / CELLS).astype(int)
    grids = rng.random((len(x), MASKS, CELLS, CELLS)) < SHOWN
    shifts = rng.integers(0, cell, (len(x), MASKS, 2))
    masks = np.empty((len(x), MASKS, *size))
    for at in np.ndindex(len(x), MASKS):
        enlarged = resize(
            grids[at].astype(np.float64), (CELLS + 1) * cell, order=1, mode="reflect", anti_aliasing=False
        )
        top, left = shifts[at]
        masks[at] = enlarged[top : top + size[0], left : left + size[1]]
    scores = np.empty((len(x), MASKS, len(TARGETS)))
    with torch.no_grad():
        for n in range(len(x)):
            masked = x[n] * torch.from_numpy(masks[n])[:, None]
            scores[n] = network(masked).softmax(1)[:, list(TARGETS)].numpy()
    return {
        "rise/grids": grids,
        "rise/shifts": shifts.astype(np.uint8),
        "rise/masks": masks[:, :3].astype(np.float32),
        "rise/paper": np.einsum("bnt,bnhw->bthw", scores, masks) / MASKS / SHOWN,
        "rise/scores": scores.mean(1),  # [B, T]
        "rise/shares": masks.mean(1) / SHOWN,  # [B, H, W], 1 in expectation
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    network, wide = Network().double().eval(), images()[:2].double()
    tall = wide[:, :, :, 6:26].contiguous()  # 32 x 20
    found = occlusion(network, tall) | lime(network, wide) | rise(network, tall)
    small = {
        k: v.astype(np.float32) if k.startswith(("occlusion", "lime/a", "lime/c")) else v for k, v in found.items()
    }
    np.savez_compressed(Path(__file__).with_name("perturbations.npz"), **small)
