"""A reader whose images are text files of one number, so that tests can count what is read."""

import os
import time
from pathlib import Path

import numpy as np

from medplug.data.decode import DecodeOptions
from medplug.images import ImageError

OPTIONS = DecodeOptions(8, 1)


class Numbers:
    """``load`` gives an image whose pixels all depend on the number in the file; each call is noted."""

    def __init__(self, log=None, delay=0.0):
        self.log, self.delay, self.loads = log, delay, []

    def load(self, uri):
        self.loads.append(uri)
        if self.log is not None:
            with open(self.log, "a") as stream:
                stream.write(f"{os.getpid()} {uri}\n")
        time.sleep(self.delay)
        try:
            number = int(Path(uri).read_text())
        except FileNotFoundError:
            raise ImageError("the file does not exist") from None
        except ValueError:
            raise ImageError("truncated") from None
        return image_of(number)

    def facts(self, uri):
        return {"format": "TXT", "bytes": Path(uri).stat().st_size}


def image_of(number):
    return (np.arange(12 * 10).reshape(12, 10, 1) * (number + 1) % 251).astype(np.uint8)


def write_numbers(folder, numbers):
    """Files ``000.txt`` … that hold these numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{row:03d}.txt" for row in range(len(numbers))]
    for path, number in zip(paths, numbers, strict=True):
        path.write_text(str(number))
    return tuple(map(str, paths))


def decoded(numbers):
    from medplug.data.decode import to_input

    return np.stack([to_input(image_of(number), OPTIONS) for number in numbers])
