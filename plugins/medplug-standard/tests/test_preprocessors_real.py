"""Preprocessors on real images of eight kinds (where ``MEDPLUG_DATA`` names them): any of them fits, and maps lie right."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from medplug.data.decode import to_input
from medplug.data.preprocess import Preprocessors
from medplug.plugins import Preprocessing, load_image, resize, to_channels
from medplug_standard.preprocessors.channels import Channels
from medplug_standard.preprocessors.clip import Clip
from medplug_standard.preprocessors.colour_constancy import ColourConstancy
from medplug_standard.preprocessors.crop import Crop, RandomCrop
from medplug_standard.preprocessors.padding import Padding
from medplug_standard.preprocessors.resize import Resize
from medplug_standard.preprocessors.standardize import Standardize

pytestmark = pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")

SETS = ("ct", "dermatoscopy", "endoscopy", "microscopy", "mri", "retina", "ultrasound", "xray")
SIZE = 96
GEOMETRY = {
    "stretch": (Channels(), Resize()),
    "pad": (Channels(), Resize(mode="pad")),
    "crop": (Channels(), Resize(mode="crop")),
    "square": (Channels(), Padding(), Resize()),
    "middle": (Crop(share=0.8), Channels(), Resize()),
    "random": (Channels(), Resize(mode="pad"), RandomCrop(margin=0.25), Standardize()),
    "both": (Crop(share=0.9), Channels(), Resize(mode="crop"), RandomCrop(), Standardize()),
}
VALUES = {
    "window": (Clip(low=(0.1,), high=(0.8,)), Channels(), Resize()),
    "quantiles": (Clip(low=(0.01,), high=(0.99,), quantiles=True), Channels(), Resize()),
    "light": (ColourConstancy(), Channels(), Resize()),
    "grey": (Channels(colour="drop"), Resize()),
}


@cache
def images_of(name: str) -> list[np.ndarray]:
    """The first, middle and last image."""
    files = sorted(
        p for p in Path(os.environ["MEDPLUG_DATA"], name).rglob("*") if p.suffix in (".png", ".jpg", ".jpeg")
    )
    return [load_image(files[i]) for i in (0, len(files) // 2, -1)]


def chain(steps: tuple[object, ...]) -> Preprocessors:
    return Preprocessors(tuple((f"x:{type(s).__name__}", s) for s in steps), Preprocessing(SIZE))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("how", GEOMETRY)
def test_what_a_map_is_drawn_on_is_what_the_network_saw(name: str, how: str) -> None:
    """Stretched to the network's size, it is the network's image, but for rounding to whole pixels."""
    found = chain(GEOMETRY[how])
    for image in images_of(name):
        kept = to_input(image, found.decode)
        start = (found.decode.size - SIZE) // 2
        seen = kept[start : start + SIZE, start : start + SIZE]
        ground = to_channels(found.ground(image, kept), 3)
        assert np.abs(resize(ground, SIZE).astype(int) - seen).mean() < 6
        turned = np.abs(resize(ground, SIZE)[::-1].astype(int) - seen).mean()
        assert turned > 4 * np.abs(resize(ground, SIZE).astype(int) - seen).mean()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("how", VALUES)
def test_values_change_and_places_do_not(name: str, how: str) -> None:
    found = chain(VALUES[how])
    for image in images_of(name):
        kept = to_input(image, found.decode)
        assert kept.shape == (SIZE, SIZE, 3)
        assert found.ground(image, kept) is image
        before, after = (resize(to_channels(x, 1), 24).ravel().astype(float) for x in (image, kept))
        assert np.corrcoef(before, after)[0, 1] > 0.8
