"""A photograph of a cat is no chest X-ray: what a trained network flags as unlike its training images."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from skimage.data import chelsea

import medplug

DATA = os.environ.get("MEDPLUG_DATA")
XRAY = pytest.param(
    "xray/labels.csv", id="xray", marks=pytest.mark.skipif(not DATA, reason="needs the real images: set MEDPLUG_DATA")
)


@pytest.mark.slow
@pytest.mark.parametrize("source", [pytest.param("phantoms:", id="phantoms"), XRAY])
def test_a_cat_is_flagged_and_test_images_are_not(source: str, tmp_path: Path) -> None:
    data = source if source.endswith(":") else str(Path(DATA or "", source))
    settings = {
        "training.epochs": 2,
        "training.frozen_epochs": 1,
        "evaluation.resamples": 50,
        "rendering.figures": "svg",
    }
    pipeline = medplug.Pipeline(architecture="efficientnet_lite0", size=64, settings=settings)
    run = pipeline.fit(data, out=tmp_path / "run")
    assert run.predict([chelsea()]).columns["medplug:unlike_training"] == ["yes"]
    test = json.loads((run.folder / "analysis.json").read_text("utf-8"))["novelty"]["test"]
    assert test["share"]["value"] <= 0.1
