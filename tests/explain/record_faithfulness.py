"""Records what pytorch-grad-cam and captum say of maps of a known function; run by hand where both are installed
(grad-cam 1.5.7 and captum 0.9.0 were).

``python tests/explain/record_faithfulness.py`` writes ``faithfulness_peers.npz`` beside itself.
"""

from pathlib import Path

import numpy as np

SHAPE = (2, 20, 24, 3)  # places a multiple of 10, so that percentiles and shares cut alike


def score(images, weights):
    """Scores ``[M]`` of images ``[M, 20, 24, 3]`` in NumPy or PyTorch: smooth, and not linear."""
    linear = (images * weights).sum((1, 2, 3))
    return linear / (1 + linear**2) ** 0.5 + (images[:, 4:12, 6:18] ** 2).mean((1, 2, 3))


def inputs() -> dict[str, np.ndarray]:
    """Images, maps, weights, patches and noise, all drawn."""
    rng = np.random.default_rng(5)
    patches = np.zeros((2, 8, 20, 24), bool)
    for patch in patches.reshape(-1, 20, 24):
        top, left, size = rng.integers(0, 12, 3)
        patch[top : top + size // 2 + 3, left : left + size + 2] = True
    return {
        "images": rng.normal(0, 1, SHAPE).astype(np.float32),
        "maps": rng.uniform(0, 1, SHAPE[:-1]).astype(np.float32),
        "weights": rng.normal(0, 0.05, SHAPE[1:]).astype(np.float32),
        "patches": patches,
        "missing": rng.random((3, 20, 24)) < np.array([0.2, 0.6, 0.95])[:, None, None],
        "noise": rng.uniform(-0.1, 0.1, (4, *SHAPE)).astype(np.float32),
    }


def main() -> None:
    """Ask the peers."""
    import torch
    from captum.metrics import infidelity, sensitivity_max
    from pytorch_grad_cam.metrics import road

    given = inputs()
    torch_inputs = {name: torch.from_numpy(value) for name, value in given.items()}
    weights = torch_inputs["weights"]
    images, maps = torch_inputs["images"].movedim(-1, 1), torch_inputs["maps"]

    def model(x):
        return score(x.movedim(1, -1), weights)[:, None]

    def explain(x):
        if isinstance(x, tuple):  # so captum asks for the images themselves
            return tuple(explain(one) for one in x)
        return (x.movedim(1, -1) ** 2 * weights).sum(-1) + x[:, 0]

    imputer = road.NoisyLinearImputer(noise=0)
    filled = np.stack([imputer(images[0], (~m).float()).movedim(0, -1).numpy() for m in torch_inputs["missing"]])
    torch.randn_like = torch.zeros_like  # the combined measure has no switch for its noise
    combined = road.ROADCombined()(images, given["maps"], [lambda out: out[0]] * 2, model)

    # The patch of a sample is set to zero; a map of one value a place goes with the first channel.
    patches = torch_inputs["patches"].float().reshape(-1, 1, 20, 24)
    evidence = torch.cat([maps[:, None], torch.zeros(2, 2, 20, 24)], 1)
    infidel = infidelity(
        model,
        lambda x: (patches.expand(-1, 3, -1, -1), x * (1 - patches)),
        images,
        evidence,
        n_perturb_samples=8,
        normalize=True,
    )
    noise = torch_inputs["noise"].movedim(-1, 2).movedim(0, 1).reshape(-1, 3, 20, 24)
    sensitive = sensitivity_max(explain, images, lambda x, radius: x + noise, n_perturb_samples=4)
    found = {"filled": filled, "road": combined, "infidelity": infidel.numpy(), "sensitivity": sensitive.numpy()}
    np.savez_compressed(
        Path(__file__).with_name("faithfulness_peers.npz"),
        allow_pickle=False,
        **{name: np.asarray(value, np.float32) for name, value in found.items()},
    )


if __name__ == "__main__":
    main()
