"""AUCMEDI's DataGenerator over a folder of JPEG files; prints images per second, one figure an epoch, as JSON.

Runs in an environment of its own: it imports nothing of medplug. Arguments: FOLDER MODE SIZE BATCH EPOCHS.
"""

import json
import os
import sys
import time

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from aucmedi import DataGenerator, ImageAugmentation

WORKERS = 2  # of 1, 2 and 4 the fastest on 2 cores


def main(folder: str, mode: str, size: int, batch: int, epochs: int) -> None:
    """Time whole passes over the folder."""
    names = sorted(
        os.path.join(label, os.path.splitext(name)[0])
        for label in os.listdir(folder)
        for name in os.listdir(os.path.join(folder, label))
    )
    labels = [[1, 0] if number % 2 else [0, 1] for number in range(len(names))]
    generator = DataGenerator(
        names, folder, labels=np.array(labels), image_format="jpg", batch_size=batch, resize=(size, size),
        standardize_mode="torch", data_aug=_augmentation() if mode == "augmented" else None, shuffle=True,
        workers=WORKERS, seed=0,
    )  # fmt: skip
    found = []
    for _ in range(epochs):
        started = time.perf_counter()
        seen = sum(len(generator[number][0]) for number in range(len(generator)))
        generator.on_epoch_end()
        found.append(seen / (time.perf_counter() - started))
    print(json.dumps({"images_per_second": found}))


def _augmentation() -> ImageAugmentation:
    """The seven steps that AUCMEDI switches on by default."""
    return ImageAugmentation()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
