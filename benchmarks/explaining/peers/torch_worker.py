"""Maps by pytorch-grad-cam and captum; prints the seconds of each call as JSON.

Runs in an environment of its own: it imports nothing of medplug. The argument is a workload as JSON, see
``benchmarks/explaining/workloads.py``. Its ``setting`` is ``defaults``, what a user gets who follows the README of the
library, or ``best``: channels last, gradients no further than they are needed, and chunks of ``chunk`` images or variants;
where that is null the fastest of :data:`CHUNKS` is found first, and told.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

CHUNKS = (2, 4, 8, 16)


def import_torchvision() -> Any:
    """torchvision, also where it was built for another torch: then the operators that it declares are missing."""
    try:
        import torchvision
    except RuntimeError:
        for name in ("nms", "qnms"):  # never called here
            torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float limit) -> Tensor")
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torchvision
    return torchvision


def main(workload: dict[str, Any]) -> None:
    """Time calls over a batch of standardised noise; a few passes through the network warm up."""
    torch.manual_seed(0)
    best = workload["setting"] == "best"
    model = import_torchvision().models.densenet121(weights=None, num_classes=workload["labels"]).eval()
    images = torch.randn(workload["images"], 3, workload["edge"], workload["edge"])
    if best:
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    with torch.no_grad():
        model(images[:2])
    if best and workload["chunk"] is None:
        backward = workload["method"] == "integrated_gradients"
        workload = {**workload, "chunk": fastest_chunk(model, workload["edge"], backward)}
    explain = {
        "grad_cam": grad_cam,
        "score_cam": score_cam,
        "occlusion": occlusion,
        "integrated_gradients": integrated_gradients,
    }[workload["method"]](model, workload, best)
    seconds = []
    for _ in range(workload["calls"]):
        started = time.perf_counter()
        explain(images)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": {"explain": seconds}, "chunk": workload["chunk"]}))


def fastest_chunk(model: Any, edge: int, backward: bool) -> int:
    """How many of 16 images should go through the network, and with ``backward`` back to the images, at once."""
    weights = [p for p in model.parameters() if p.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    found = {}
    for chunk in CHUNKS:
        images = torch.randn(16, 3, edge, edge).to(memory_format=torch.channels_last)
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            for part in images.split(chunk):
                with torch.set_grad_enabled(backward):
                    scores = model(part.requires_grad_(backward))
                if backward:
                    torch.autograd.grad(scores.sum(), part)
            seconds.append(time.perf_counter() - started)
        found[chunk] = min(seconds)
    for weight in weights:
        weight.requires_grad_(True)
    return min(found, key=found.__getitem__)


def grad_cam(model: Any, workload: dict[str, Any], best: bool) -> Callable[[Any], Any]:
    """Defaults: one image a call. Best: only the last norm has gradients, so that no layer before it is differentiated."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    if best:
        model.requires_grad_(False)
        model.features[-1].weight.requires_grad_(True)
    cam = GradCAM(model=model, target_layers=[model.features[-1]])

    def explain(images: Any) -> Any:
        parts = images.split(workload["chunk"] if best else 1)
        return [cam(part, [ClassifierOutputTarget(workload["label"])] * len(part)) for part in parts]

    return explain


def score_cam(model: Any, workload: dict[str, Any], best: bool) -> Callable[[Any], Any]:
    """Defaults: 16 masks at once. Best: ``chunk`` masks, in inference mode."""
    from pytorch_grad_cam import ScoreCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = ScoreCAM(model=model, target_layers=[getattr(model.features, workload["stage"])])
    if best:
        cam.batch_size = workload["chunk"]

    def explain(images: Any) -> Any:
        with torch.inference_mode(best):
            return cam(images, [ClassifierOutputTarget(workload["label"])] * len(images))

    return explain


def occlusion(model: Any, workload: dict[str, Any], best: bool) -> Callable[[Any], Any]:
    """Defaults: one patch a pass. Best: ``chunk`` patches. captum switches gradients off itself."""
    from captum.attr import Occlusion

    method, patch, stride = Occlusion(model), workload["patch"], workload["stride"]
    together = {"perturbations_per_eval": workload["chunk"]} if best else {}

    def explain(images: Any) -> Any:
        window, steps = (3, patch, patch), (3, stride, stride)
        return method.attribute(images, window, strides=steps, target=workload["label"], **together)

    return explain


def integrated_gradients(model: Any, workload: dict[str, Any], best: bool) -> Callable[[Any], Any]:
    """Defaults: all steps of all images at once. Best: ``chunk`` at once, weights without gradients."""
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(model)
    if best:
        model.requires_grad_(False)
    chunks = {"internal_batch_size": workload["chunk"]} if best else {}

    def explain(images: Any) -> Any:
        return method.attribute(images, target=workload["label"], n_steps=workload["steps"], **chunks)

    return explain


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
