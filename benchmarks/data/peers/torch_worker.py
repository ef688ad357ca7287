"""PyTorch's DataLoader with Pillow over a folder of JPEG files; prints images per second, one figure an epoch, as JSON.

Runs in an environment of its own: it imports nothing of medplug. Arguments: FOLDER MODE SIZE BATCH EPOCHS.
The dataset is what a practitioner writes: open, convert, resize, augment, to a standardised tensor.
"""

import glob
import json
import os
import random
import sys
import time

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.utils.data import DataLoader, Dataset

WORKERS = 2
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


class Folder(Dataset):
    """One JPEG a sample."""

    def __init__(self, folder: str, size: int, augmented: bool) -> None:
        self.paths = sorted(glob.glob(os.path.join(folder, "*", "*.jpg")))
        self.size, self.augmented = size, augmented

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        image = Image.open(self.paths[number]).convert("RGB").resize((self.size, self.size), Image.BILINEAR)
        if self.augmented:
            image = augment(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (pixels - MEAN) / STD, number % 2


def augment(image: Image.Image) -> Image.Image:
    """Flips, quarter turns, brightness, contrast, saturation, hue and zoom, each in half of the draws."""
    if random.random() < 0.5:
        image = image.transpose(random.choice([Image.FLIP_LEFT_RIGHT, Image.FLIP_TOP_BOTTOM, Image.ROTATE_180]))
    if random.random() < 0.5:
        image = image.transpose(random.choice([Image.ROTATE_90, Image.ROTATE_180, Image.ROTATE_270]))
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        if random.random() < 0.5:
            image = change(image).enhance(random.uniform(0.9, 1.1))
    if random.random() < 0.5:
        hue, saturation, value = image.convert("HSV").split()
        turn = random.randint(-25, 25)
        image = Image.merge("HSV", (hue.point(lambda h: (h + turn) % 256), saturation, value)).convert("RGB")
    if random.random() < 0.5:
        zoom, middle = random.uniform(0.9, 1.1), image.width / 2
        shift = middle - middle / zoom
        image = image.transform(image.size, Image.AFFINE, (1 / zoom, 0, shift, 0, 1 / zoom, shift), Image.BILINEAR)
    return image


def main(folder: str, mode: str, size: int, batch: int, epochs: int) -> None:
    """Time whole passes over the folder; workers stay alive between them."""
    torch.set_num_threads(1)
    loader = DataLoader(
        Folder(folder, size, mode == "augmented"), batch, shuffle=True, num_workers=WORKERS, persistent_workers=True
    )
    found = []
    for _ in range(epochs):
        started = time.perf_counter()
        seen = sum(len(images) for images, _ in loader)
        found.append(seen / (time.perf_counter() - started))
    print(json.dumps({"images_per_second": found}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
