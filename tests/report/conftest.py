"""Invented facts of runs that never took place."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.report.facts import ExplainedImage, ReportFacts

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</style></title>&amp;",
    "\u202eesrever\u0000 \ud800 a very long name without any reason to be so long",
)
READINGS = {"ranking": "ranks {one} above {other} in {value} of pairs"}


def picture(seed: int, height: int = 150, width: int = 200, *, noisy: bool = True) -> bytes:
    """A PNG with a bright blob, and noise in every pixel as in ultrasound."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    blob = np.exp(-((y - height / 2) ** 2 + (x - width * rng.uniform(0.3, 0.7)) ** 2) / (0.06 * height * width))
    pixels = 160 * blob[..., None] * [1.0, 0.8, 0.6] + (rng.gamma(2, 25, (height, width, 1)) if noisy else 20)
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def figure(
    value: float | None, spread: float = 0.03, reason: str = "no positive samples in the test split"
) -> dict[str, Any]:
    if value is None:
        return {"value": None, "reason": reason}
    low, high = max(0.0, value - spread), min(1.0, value + spread)
    return {
        "value": value,
        "low": low,
        "high": high,
        "method": "95 % percentile bootstrap over 52 groups, 1000 resamples",
    }


def invent(
    classes: tuple[str, ...] = ("benign", "malignant", "normal"),
    *,
    task: Any = "multiclass",
    absent: tuple[str, ...] = (),
    few: tuple[str, ...] = (),
    seed: int = 0,
    size: tuple[int, int] = (150, 200),
    **changes: Any,
) -> ReportFacts:
    """Facts of a run with these classes; ``absent`` ones have no test image."""
    rng = np.random.default_rng(seed)
    counts = {c: 0 if c in absent else 4 if c in few else int(rng.integers(15, 60)) for c in classes}
    n = sum(counts.values())
    per_class: dict[str, Any] = {}
    for c in classes:
        value = None if c in absent else float(rng.uniform(0.7, 0.99))
        per_class[c] = {
            "n": counts[c],
            "ranking": figure(value),
            "f1": figure(None if value is None else value - 0.15, 0.08),
        }
    if len(classes) == 2 and not absent:
        per_class[classes[0]]["ranking"] = per_class[classes[1]]["ranking"]
    mean = {
        m: float(np.mean([e[m]["value"] for e in per_class.values() if e[m]["value"] is not None]))
        for m in ("ranking", "f1")
    }
    macro = {m: {**figure(v), "excluded": list(absent)} for m, v in mean.items()} | {"accuracy": figure(0.87, 0.05)}
    fpr = np.linspace(0, 1, 60)
    roc = {c: None if c in absent else (fpr.tolist(), (fpr ** rng.uniform(0.05, 0.5)).tolist()) for c in classes}
    epochs = range(1, 41)
    history = [
        {"epoch": e, "phase": "head" if e <= 8 else "all", "loss": 0.9 * 0.93**e + 0.05, "validation_loss": 0.8 * 0.95**e + 0.12 + 0.05 * float(rng.random())}
        for e in epochs
    ]  # fmt: skip
    k = len(classes)
    confusion = np.zeros((k, k), int)
    for i, c in enumerate(classes):
        taken = rng.choice(k, counts[c], p=[0.8 + 0.2 / k if j == i else 0.2 / k for j in range(k)])
        confusion[i] = np.bincount(taken, minlength=k)
    decisions = [[int(0.7 * counts[c]), 5, counts[c] - int(0.7 * counts[c]), n - counts[c] - 5] for c in classes]
    explained = [
        ExplainedImage(
            shown_for=c, sample=f"{c}/{c} ({17 * i + 3}).png", labels=(c,), explained=c if i % 3 else classes[(i + 1) % k],
            probability=0.93 - 0.02 * (i % 20), method="example_map", original=picture(i, *size), overlay=picture(i + 1, *size),
            low=0.0, high=0.0123, evidence=i != 1,
        )
        for i, c in enumerate(classes) if c not in absent
    ]  # fmt: skip
    values: dict[str, Any] = {
        "title": f"Classification of ultrasound images: {k} classes",
        "task": task,
        "classes": classes,
        "metrics": {"test": {"n": n, "macro": macro, "per_class": per_class}},
        "split_sizes": {"train": 4 * n, "validation": n // 2, "test": n},
        "split_counts": {"train": {c: 4 * v for c, v in counts.items()}, "validation": {c: v // 2 for c, v in counts.items()}, "test": counts},
        "independence": "Images of the same patient are never both in training and in test.",
        "split_notes": ("12 of 200 images of the given training part share a patient with the test part and are left out.",),
        "checks": {
            "findings": [
                {"check": "readable", "level": "ok", "text": f"all {6 * n} images can be read", "names": []},
                {"check": "reader", "level": "note", "text": "the labels are read from the column 'diagnosis' (guessed)", "names": []},
                {"check": "classes", "level": "warning", "text": "the smallest class has 9 images", "names": []},
            ],
            "skipped": [{"name": f"{classes[0]}/mask_{i}.png", "reason": "a mask by its name"} for i in range(30)]
            + [{"name": "notes.txt", "reason": "not an image file"}],
        },
        "history": history,
        "tested_epoch": 31,
        "roc": roc,
        "confusion": confusion.tolist() if task == "multiclass" else None,
        "decisions": decisions if task == "multilabel" else None,
        "explanations": explained,
        "colour_scale": tuple(f"#{v:02x}{v // 2:02x}20" for v in range(0, 256, 8)),
        "readings": READINGS,
        "manifest": {"versions": {"medplug": "0.1.0", "jax": "0.10.2"}, "plugins": {"example_map": "medplug-example 0.1.0"}, "seed": 3, "device": "cpu", "started": "2025-03-01 10:20:30", "seconds": 812.3},
        "config": "[loss]\nuse = \"example\"\n\n[training]\nepochs = 40\n",
    }  # fmt: skip
    return ReportFacts(**(values | changes))


@pytest.fixture(name="invent")
def _invent() -> Callable[..., ReportFacts]:
    return invent


@pytest.fixture
def evil_names() -> tuple[str, ...]:
    return EVIL
