"""On phantoms it is known where to look: the maps of a network that has learned find it, those of one that has not do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from medplug import Pipeline
from medplug.explain.faithfulness.localisation import pointing_game
from medplug.explain.faithfulness.places import centre_maps
from medplug.explain.faithfulness.randomisation import levels, shuffled
from medplug.explain.faithfulness.resizing import to_input_size
from medplug.model.explain import image_keys
from medplug.plugins import Preprocessing, component
from medplug.progress import Reporter
from medplug.runs.faithfulness.mapscores import MethodMaps
from medplug_standard.explainers.grad_cam import GradCam
from medplug_standard.readers.phantoms import Phantoms

SIZE, TRAINED, TESTED = 64, 600, 180


class SmallNetwork(nnx.Module):
    """Four convolutions down to an eighth of the edge, pooled, and a linear head."""

    stages = ()
    layers = ("stem", "middle", "top", "last")

    def __init__(self, channels: int, classes: int, rngs: nnx.Rngs) -> None:
        widths = (channels, 16, 32, 32, 32)
        for name, given, made, stride in zip(self.layers, widths, widths[1:], (2, 2, 1, 2), strict=False):
            setattr(self, name, nnx.Conv(given, made, (3, 3), strides=stride, use_bias=False, rngs=rngs))
            setattr(self, f"{name}_norm", nnx.BatchNorm(made, momentum=0.9, rngs=rngs))
        self.head = nnx.Linear(32, classes, rngs=rngs)

    def features(self, images: jax.Array, stage: str | None = None) -> jax.Array:
        for name in self.layers:
            images = nnx.relu(getattr(self, f"{name}_norm")(getattr(self, name)(images)))
        return images

    def classify(self, features: Any, metadata: Any = None, stage: str | None = None) -> jax.Array:
        return self.head(features.mean((1, 2)))

    def linear_head(self) -> jax.Array:
        return self.head.kernel[...]

    def __call__(self, images: jax.Array, metadata: Any = None) -> jax.Array:
        return self.classify(self.features(images))


@component
class SmallNet:
    """For small grey images."""

    head = ("head",)
    preprocessing = Preprocessing(SIZE, 1, (0.4,), (0.2,))

    def build(self, input_shape: tuple[int, ...], classes: int, *, rngs: nnx.Rngs) -> SmallNetwork:
        return SmallNetwork(input_shape[-1], classes, rngs)

    def pretrained(self, input_shape: tuple[int, ...], classes: int) -> dict[str, np.ndarray]:
        return {}


def class_of(uri: str) -> str:
    return uri.split("/")[1]


@pytest.mark.slow
def test_maps_of_a_trained_network_point_at_lesions_and_those_of_a_random_one_do_not(tmp_path: Path) -> None:
    """The network learns which lesion there is, if any; where it is it is never told."""
    reader = Phantoms(size=SIZE)
    uris = reader.index(str(TRAINED)).uris
    settings = {
        "training.epochs": 10, "training.frozen_epochs": 0, "training.learning_rate": 3e-3, "training.batch_norm": "batch",
        "evaluation.resamples": 50, "evaluation.novelty": False, "rendering.figures": "svg", "rendering.errors": 0,
        "training.micro_batch": 32, "checks.near": "ignore", "checks.shortcut": "ignore",
    }  # fmt: skip
    labels = [class_of(uri) for uri in uris]
    run = Pipeline(
        recipe="demo", architecture=SmallNet(), size=SIZE, settings=settings, reporter=Reporter(quiet=True)
    ).fit([reader.load(uri) for uri in uris], labels, out=tmp_path / "run")
    others = [u for u in Phantoms(size=SIZE, seed=1).index(str(TESTED)).uris if class_of(u) != "normal"]
    masks = np.stack([reader.mask(uri) for uri in others])
    images = np.asarray(run.network.standardise(np.stack([reader.load(uri) for uri in others])))
    lesion = np.array([run.classes.index(class_of(uri)) for uri in others], np.int32)
    make, keys = MethodMaps(run.network, GradCam(), run.task), image_keys(0, list(others))

    def hits(network: Any = None) -> float:
        return float(pointing_game(to_input_size(make(images, lesion, keys, network), (SIZE, SIZE)), masks).mean())

    everything = tuple(name for names in levels(run.network) for name in names)
    centre = float(pointing_game(centre_maps((SIZE, SIZE), len(masks)), masks).mean())
    trained, forgotten = hits(), [hits(shuffled(run.network, everything, seed)) for seed in range(3)]
    assert trained > max(2 * centre, centre + 0.15)
    assert np.mean(forgotten) < centre + 0.05
