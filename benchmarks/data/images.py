"""Invented photographs as JPEG files: smooth colour with sensor noise, about as large in bytes as real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

QUALITY = 90
_CELL = 32  # pixels of the smooth ground between two random colours
_NOISE = 8.0  # standard deviation of the grey noise, of 255


def make_images(folder: Path, width: int, height: int, count: int) -> Path:
    """``count`` JPEG files of two classes in ``folder``, the same ones each time; those that are there are kept."""
    for number in range(count):
        path = folder / f"{'ab'[number % 2]}" / f"{number:06d}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([width, height, number])
        cells = rng.integers(0, 256, (height // _CELL, width // _CELL, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC), np.float32)
        noisy = smooth + rng.normal(0, _NOISE, (height, width, 1))
        part = path.with_suffix(".part")
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(part, "JPEG", quality=QUALITY)
        part.rename(path)
    return folder


def make_small_images(folder: Path, edge: int, count: int) -> Path:
    """``count`` tiny JPEG files of two classes, no two alike and none like another, for what each file costs by itself."""
    done = folder.with_name(f"{folder.name}.done")  # not in it, where a reader would see it
    if done.exists():
        return folder
    rng = np.random.default_rng([edge, count])
    for label in "ab":
        (folder / label).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = rng.integers(0, 256, (edge // 4, edge // 4, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((edge, edge), Image.Resampling.BICUBIC)
        picture.save(folder / "ab"[number % 2] / f"{number:06d}.jpg", "JPEG", quality=QUALITY)
    done.touch()
    return folder
