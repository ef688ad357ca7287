"""Record the gradient maps of captum; run by hand, in an environment that has it.

    python -m venv xaienv && xaienv/bin/pip install torch==2.13.0 captum==0.9.0 jax==0.10.2
    PYTHONPATH=src xaienv/bin/python plugins/medplug-standard/tests/record_gradients.py

Writes ``gradients.npz`` beside this script. All maps are ``[2, 2, 32, 32]`` float32: the first two images, two classes each.
Captum attributes every channel of a pixel; maps are the sum over them, or the largest absolute value where so named.
What is drawn at random comes from ``noise`` and ``baselines``, which the tests call too, or is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import explainer_reference as reference
import numpy as np

CLASSES = np.array([[0, 3], [1, 4]])
COUNT, SAMPLES, BASELINES = len(CLASSES), 6, 5
GAUSS_STEPS, MIDPOINTS = 9, 10
SHAPE = (reference.EDGE, reference.EDGE, reference.CHANNELS[0])


def noise() -> np.ndarray:
    """``[SAMPLES, 2, 32, 32, 3]`` float32, what is added to the images."""
    return np.random.default_rng(21).normal(0, 0.4, (SAMPLES, COUNT, *SHAPE)).astype(np.float32)


def baselines() -> np.ndarray:
    """``[BASELINES, 32, 32, 3]`` float32, from which gradient SHAP draws its own."""
    return np.random.default_rng(22).normal(0, 0.3, (BASELINES, *SHAPE)).astype(np.float32)


def each_class(attribute: Callable[[list[int]], Any], largest: bool = False) -> np.ndarray:
    """``attribute(one class for each image)``, ``[2, 3, 32, 32]``, for both classes, without the channels."""
    each = np.stack([attribute([int(c) for c in classes]).detach().numpy() for classes in CLASSES.T], axis=1)
    return np.abs(each).max(2) if largest else each.sum(2)


def gradient_shap(network: Any, x: Any) -> dict[str, np.ndarray]:
    """Maps, and what was drawn: the baseline and the place on the way, ``[2, SAMPLES]``, for each class."""
    import torch
    from captum.attr import GradientShap

    rng, drawn = np.random.default_rng(3), {"chosen": [], "places": []}

    def kept(name: str, draw: Any) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            found = draw(*args)
            drawn[name].append(np.reshape(found, (COUNT, SAMPLES)))
            return found

        return call

    given = torch.from_numpy(baselines()).permute(0, 3, 1, 2)
    with (
        mock.patch("numpy.random.choice", kept("chosen", rng.choice)),
        mock.patch("numpy.random.uniform", kept("places", rng.uniform)),
    ):
        maps = each_class(lambda c: GradientShap(network).attribute(x, given, SAMPLES, 0.0, c))
    return {"gradient_shap": maps, **{f"gradient_shap/{name}": np.array(found) for name, found in drawn.items()}}


def noisy(network: Any, x: Any) -> dict[str, np.ndarray]:
    """SmoothGrad and VarGrad of the signed gradient, with ``noise`` as the noise."""
    import torch
    from captum.attr import NoiseTunnel, Saliency

    added = torch.from_numpy(noise()).permute(1, 0, 4, 2, 3)

    def with_noise(given: Any, deviation: float, samples: int) -> Any:
        return (given[:, None] + added[:, :samples]).flatten(0, 1)

    def attribute(kind: str) -> Callable[[list[int]], Any]:
        tunnel = NoiseTunnel(Saliency(network))
        return lambda c: tunnel.attribute(x, nt_type=kind, nt_samples=SAMPLES, target=c, abs=False)

    with mock.patch.object(NoiseTunnel, "_add_noise_to_input", staticmethod(with_noise)):
        return {
            "smooth_grad/signed": each_class(attribute("smoothgrad")),
            "smooth_grad/absolute": each_class(attribute("smoothgrad"), largest=True),
            "var_grad": each_class(attribute("vargrad")),
        }


def main() -> None:
    """Write the references."""
    from captum.attr import GuidedBackprop, GuidedGradCam, InputXGradient, IntegratedGradients, Saliency
    from explainer_torch import Network, images

    network, x = Network().eval(), images()[:COUNT].requires_grad_()
    integrated, darkest = IntegratedGradients(network), x.detach().amin((2, 3), keepdim=True).expand_as(x)
    found = {
        "saliency": each_class(lambda c: Saliency(network).attribute(x, c), largest=True),
        "input_x_gradient": each_class(lambda c: InputXGradient(network).attribute(x, c)),
        "guided_backprop": each_class(lambda c: GuidedBackprop(network).attribute(x, c)),
        "integrated_gradients/gauss_legendre": each_class(
            lambda c: integrated.attribute(x, 0, c, n_steps=GAUSS_STEPS, method="gausslegendre")
        ),
        "integrated_gradients/midpoint": each_class(
            lambda c: integrated.attribute(x, darkest, c, n_steps=MIDPOINTS, method="riemann_middle")
        ),
    }
    for layer in ("relu2", "relu3"):
        guided = GuidedGradCam(network, getattr(network, layer))
        found[f"guided_grad_cam/{layer}"] = each_class(
            lambda c, g=guided: g.attribute(x, c, interpolate_mode="bilinear")
        )
    found |= noisy(network, x) | gradient_shap(network, x)
    path = Path(__file__).parent / "gradients.npz"
    np.savez_compressed(
        path, **{k: v.astype(np.int32 if v.dtype.kind == "i" else np.float32) for k, v in found.items()}
    )


if __name__ == "__main__":
    main()
