"""What all readers of image files share: how pixels are read, and what a file tells beside them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from medplug.plugins import ParameterError, component, file_facts, load_image, param


@component
class ImageFiles:
    """Loads image files by their paths. Base of the readers of files."""

    loads_files = True

    pixels: Literal["faithful", "pillow"] = param(
        "with pillow, images are read as convert('RGB') does: 16 bits saturate, EXIF and alpha are ignored",
        default="faithful",
    )
    bits: int | None = param(
        "true depth of greys that are stored in 16 bits; left out, it is judged from each image",
        default=None,
        ge=8,
        le=16,
    )

    def check_pixels(self) -> None:
        """Refuse parameters that exclude each other; readers call it from ``__post_init__``."""
        if self.bits is not None and self.pixels == "pillow":
            raise ParameterError("bits has no effect with pixels='pillow'; leave one of them out")

    def load(self, uri: str) -> np.ndarray:
        """The pixels of one file, as :func:`medplug.plugins.load_image` reads them."""
        return load_image(uri, convert=self.pixels == "pillow", bits=self.bits)

    def facts(self, uri: str) -> dict[str, str | int | float]:
        """What the file tells beside its pixels, as :func:`medplug.plugins.file_facts` reads it."""
        return file_facts(uri)
