"""Record the class activation maps of pytorch-grad-cam; run by hand, in an environment that has it.

    python -m venv camenv && camenv/bin/pip install torch==2.13.0 grad-cam==1.5.7 jax==0.10.2
    PYTHONPATH=src camenv/bin/python plugins/medplug-standard/tests/record_cams.py

Writes ``cams.npz`` beside this script. ``METHOD/LAYER`` are maps ``[4, 2, 16, 16]`` (Eigen-CAM ``[4, 1, 16, 16]``) before the
library clips, scales and enlarges them; ``picture`` is what it hands out for Grad-CAM, ``[4, 2, 32, 32]``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from explainer_torch import Network, images
from pytorch_grad_cam import (
    AblationCAM,
    EigenCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    ScoreCAM,
    XGradCAM,
)
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

CLASSES = np.array([[0, 3], [1, 4], [2, 0], [3, 1]])
METHODS = {
    "grad_cam": GradCAM,
    "grad_cam_plus_plus": GradCAMPlusPlus,
    "hires_cam": HiResCAM,
    "xgrad_cam": XGradCAM,
    "layer_cam": LayerCAM,
    "eigen_cam": EigenCAM,
    "score_cam": ScoreCAM,
    "ablation_cam": AblationCAM,
}


def maps(method: Any, layer: str, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maps before the library changes them, and as it hands them out, of one class for each image."""
    model, raw = Network().eval(), []
    explainer = method(model, [getattr(model, layer)])
    made = explainer.get_cam_image

    def kept(*args: Any) -> np.ndarray:
        raw.append(made(*args))
        return raw[-1]

    explainer.get_cam_image = kept
    handed_out = explainer(images(), [ClassifierOutputTarget(int(c)) for c in classes])
    return np.asarray(raw[0], np.float32), np.asarray(handed_out, np.float32)


def main() -> None:
    """Write the references."""
    found = {"classes": CLASSES}
    for layer in ("relu2", "relu3"):
        for name, method in METHODS.items():
            columns = CLASSES.T[:1] if name == "eigen_cam" else CLASSES.T
            each = [maps(method, layer, classes) for classes in columns]
            found[f"{name}/{layer}"] = np.stack([raw for raw, _ in each], axis=1)
            if (name, layer) == ("grad_cam", "relu2"):
                found["picture"] = np.stack([picture for _, picture in each], axis=1)
    np.savez_compressed(Path(__file__).parent / "cams.npz", **found)


if __name__ == "__main__":
    main()
