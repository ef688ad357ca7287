"""Fine-tuning in plain PyTorch, as a practitioner writes it for a small set and a few minutes of a CPU.

Arguments: HANDED.npz ANSWER.npz MINUTES SEED TASK. The first file has images, targets, rows and weights, see
``benchmarks/comparing/rivals.py``; probabilities of the validation and the test images go into the second. The last line
that is printed is JSON. Runs in an environment of its own: it imports nothing of medplug.

The recipe: one epoch for the head alone, then AdamW on all layers with a larger rate for the head, warm-up and one cosine
over the time that there is, batch statistics in training, random resized crops, flips, turns, brightness and contrast, and
the weights of the epoch with the lowest validation loss. All images are in memory and are augmented a batch at a time,
which on two cores leaves them to the network.
"""

import copy
import json
import math
import os
import sys
import time

STARTED = time.monotonic()  # importing PyTorch belongs to the minutes

import numpy as np  # noqa: E402
import torch  # noqa: E402
from lite0 import Lite0  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

BATCH = 32
HEAD_RATE, BODY_RATE, DECAY, WARMUP = 1e-3, 3e-4, 1e-2, 0.05
TURN, SMALLEST, COLOUR = 15.0, 0.7, 0.2  # degrees, share of the area, relative
TOLERANCE = 1e-3


def main(handed: str, answer: str, minutes: float, seed: int, task: str) -> None:
    """Check the network, train it, predict."""
    torch.manual_seed(seed)
    torch.set_num_threads(os.cpu_count() or 1)
    with np.load(handed) as file:
        data = {name: file[name] for name in file.files}
    model = Lite0(data["targets"].shape[1], float(data["dropout"])).to(memory_format=torch.channels_last)
    load(model, data)
    training = Training(model, data, task, STARTED + 60 * minutes)
    apart = training.check(data["probed"], data["logits"])
    history = training.fit()
    ended = time.monotonic() - STARTED
    np.savez(answer, **{part: training.predict(data[part]) for part in ("validation", "test")})
    told = {"epochs": 1 + len(history), "training_minutes": round(ended / 60, 2), "apart": apart}
    print(json.dumps(told))


def load(model: Lite0, data: dict[str, np.ndarray]) -> None:
    """Put the weights into the model; only PyTorch's counters of batches may be missing."""
    weights = {name.partition(":")[2]: torch.from_numpy(a) for name, a in data.items() if name.startswith("weights:")}
    missing, surplus = model.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or surplus:
        sys.exit(f"the weights do not fit: missing {missing}, surplus {surplus}")


class Training:
    """One model, its images, and the time at which it must be trained."""

    def __init__(self, model: Lite0, data: dict[str, np.ndarray], task: str, deadline: float) -> None:
        self.model, self.deadline, self.multiclass = model, deadline, task == "multiclass"
        self.images, self.targets = torch.from_numpy(data["images"]), torch.from_numpy(data["targets"])
        self.rows, self.held = torch.from_numpy(data["train"]), data["validation"]
        self.mean, self.std = (torch.from_numpy(data[name])[:, None, None] for name in ("mean", "std"))

    def check(self, probed: np.ndarray, logits: np.ndarray) -> float:
        """How far the logits are from those that were handed over; too far ends the process."""
        self.model.eval()
        with torch.inference_mode():
            found = self.model(self.standardised(self.unit(torch.from_numpy(probed)))).numpy()
        apart = float(np.abs(found - logits).max())
        if apart > TOLERANCE:
            sys.exit(f"the logits are {apart:g} apart from those of the network that was handed over")
        return apart

    def fit(self) -> list[dict[str, float]]:
        """Train until the time is over; the model is left with its best weights."""
        history = []
        head = torch.optim.AdamW(self.model.head(), HEAD_RATE, weight_decay=DECAY)
        self.epoch(head, self.deadline, frozen=True)
        began = time.monotonic()
        best, lowest = copy.deepcopy(self.model.state_dict()), self.validation_loss()
        ends = self.deadline - 1.2 * (time.monotonic() - began)  # the last validation belongs to the minutes too
        groups = [{"params": self.model.head(), "lr": HEAD_RATE}, {"params": self.model.body(), "lr": BODY_RATE}]
        optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
        began = time.monotonic()
        while time.monotonic() < ends:
            trained = self.epoch(optimizer, ends, began=began)
            loss = self.validation_loss()
            history.append({"loss": trained, "validation_loss": loss, "seconds": time.monotonic() - STARTED})
            print(f"epoch {len(history)}: {json.dumps(history[-1])}", flush=True)
            if loss < lowest:
                best, lowest = copy.deepcopy(self.model.state_dict()), loss
        self.model.load_state_dict(best)
        return history

    def epoch(self, optimizer: torch.optim.Optimizer, ends: float, began: float = 0, frozen: bool = False) -> float:
        """One pass over the training images, or what the time leaves of it; the mean loss."""
        self.model.train(not frozen)
        self.model._dropout.train()
        peaks = [group.setdefault("peak", group["lr"]) for group in optimizer.param_groups]
        losses = []
        order = self.rows[torch.randperm(len(self.rows))]
        for rows in order.split(BATCH):
            now = time.monotonic()
            if now >= ends or (len(rows) < BATCH and losses):
                break
            if not frozen:
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * share((now - began) / (ends - began))
            images = self.standardised(augmented(self.unit(self.images[rows])))
            with torch.set_grad_enabled(not frozen):
                features = self.model.features(images)
            loss = self.losses(self.model._fc(self.model._dropout(features)), self.targets[rows]).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return sum(losses) / max(1, len(losses))

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each image, or of each label that is known."""
        if self.multiclass:
            return functional.cross_entropy(logits, targets.argmax(1), reduction="none")
        known = ~targets.isnan()
        return functional.binary_cross_entropy_with_logits(logits[known], targets[known], reduction="none")

    def validation_loss(self) -> float:
        """The mean loss of the validation images, as they are."""
        return self.losses(self.logits(self.held), self.targets[torch.from_numpy(self.held)]).mean().item()

    def logits(self, rows: np.ndarray) -> Tensor:
        """Logits of these images in evaluation mode."""
        self.model.eval()
        with torch.inference_mode():
            parts = self.images[torch.from_numpy(rows)].split(2 * BATCH)
            return torch.cat([self.model(self.standardised(self.unit(part))) for part in parts])

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities ``[n, K]`` float64."""
        logits = self.logits(rows).double()
        return (logits.softmax(1) if self.multiclass else logits.sigmoid()).numpy()

    def unit(self, images: Tensor) -> Tensor:
        """uint8 ``[B, H, W, C]`` to float32 ``[B, C, H, W]`` in [0, 1], channels last in memory."""
        return images.permute(0, 3, 1, 2).float() / 255

    def standardised(self, images: Tensor) -> Tensor:
        """What the weights were trained with."""
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


def share(done: float) -> float:
    """The rate at a share of the time: warm-up, then half a cosine to zero."""
    if done < WARMUP:
        return done / WARMUP
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - WARMUP) / (1 - WARMUP))))


def augmented(images: Tensor) -> Tensor:
    """Crop, flip and turn as one resampling; then brightness and contrast; ``[B, C, H, W]`` in [0, 1]."""
    batch = len(images)
    edge = torch.empty(batch).uniform_(SMALLEST, 1).sqrt()
    angle = torch.empty(batch).uniform_(-TURN, TURN).deg2rad()
    flip = torch.where(torch.rand(batch) < 0.5, -1.0, 1.0)
    shift = (1 - edge)[:, None] * torch.empty(batch, 2).uniform_(-1, 1)
    cos, sin = edge * angle.cos(), edge * angle.sin()
    turns = torch.stack([flip * cos, -sin, flip * sin, cos], 1).view(batch, 2, 2)
    grid = functional.affine_grid(torch.cat([turns, shift[:, :, None]], 2), list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    brightness, contrast = torch.empty(2, batch, 1, 1, 1).uniform_(1 - COLOUR, 1 + COLOUR)
    images = images * brightness
    middle = images.mean((1, 2, 3), keepdim=True)
    return ((images - middle) * contrast + middle).clamp(0, 1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
