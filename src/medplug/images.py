"""One image file to pixels, with a decided outcome for every mode that Pillow knows."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from medplug.errors import MedplugError

MAX_PIXELS = 89_478_485
"""More pixels than these are taken for a decompression bomb. It is the size from which Pillow warns, so that
every image that Pillow would only warn of is refused here, and its warning can be switched off."""

# Filters for the whole process rather than `catch_warnings` around each call: that one is not safe with threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)

_ALPHA_MODES = frozenset({"P", "PA", "LA", "La", "RGBA", "RGBa"})


class ImageError(MedplugError):
    """An image that cannot be read, with the reason as its message."""


def load_image(path: str | Path, *, convert: bool = False) -> np.ndarray:
    """The pixels of an image file: ``[H, W, C]``, uint8 (0..255) or uint16 (0..65535); C is 1 (grey) or 3 (RGB).

    - The first frame or page counts. The EXIF orientation is applied; damaged EXIF data count as none.
    - Palettes are looked up; one of greys only gives grey.
    - Transparency is flattened on black, the colour of scanners' empty borders.
    - CMYK, YCbCr, HSV and LAB become RGB. Grey stays one channel; 1-bit grey becomes 0 and 255.
    - Greys of more than 8 bits come as uint16 that fills its range: values stored in 16 or 32 bits of which none
      exceeds 4095 are taken for 12-bit data and stretched, those that do not exceed 255 are taken for 8-bit data
      and come as uint8. Floating greys in 0..1 are scaled by 65535; anything else (negative, larger, fractions)
      is scaled from its own smallest and largest value.
    - Colours of 16 bits per channel come as their upper 8 bits, which is what Pillow reads.

    With ``convert`` it is what Pillow's ``convert("RGB")`` makes of the file, always ``[H, W, 3]`` uint8: more than
    8 bits saturate, the EXIF orientation is ignored, transparency is dropped. Only for comparison with
    pipelines that read images that way.

    Raises:
        ImageError: not an image, damaged, truncated, or larger than :data:`MAX_PIXELS`.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(_too_large(f"{width}x{height}"))
            image.load()
            if convert:
                return np.asarray(image.convert("RGB"))
            return _to_array(_upright(image))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError("not an image file, or of a kind that Pillow does not read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(_too_large("its")) from None
    except FileNotFoundError:
        raise ImageError("the file does not exist") from None
    except (IsADirectoryError, PermissionError) as error:
        raise ImageError(f"cannot be opened: {error.strerror}") from None
    except MemoryError:
        raise ImageError("does not fit into memory") from None
    except Exception as error:  # on damaged files decoders raise nearly anything: struct.error, IndexError …
        raise ImageError(f"damaged or truncated: {error or type(error).__name__}") from error


def file_facts(path: str | Path) -> dict[str, str | int | float]:
    """What the header of an image file tells beside its pixels, for the check on shortcuts.

    ``format`` (of the content, whatever the name says), ``extension``, ``mode``, ``width``, ``height``, ``bytes``,
    ``exif`` (0 or 1) and, for JPEG, ``quality``: the mean entry of its quantisation tables, larger where more was
    thrown away. Empty where the file is no image. The pixels are not decoded.
    """
    try:
        with Image.open(path) as image:
            tables = getattr(image, "quantization", None)
            facts: dict[str, str | int | float] = {
                "format": image.format or "",
                "extension": Path(path).suffix.lower(),
                "mode": image.mode,
                "width": image.width,
                "height": image.height,
                "bytes": Path(path).stat().st_size,
                "exif": int("exif" in image.info),
            }
            if tables:
                facts["quality"] = round(float(np.mean([v for table in tables.values() for v in table])), 2)
            return facts
    except Exception:  # decoders raise nearly anything; `load_image` is the place that says why
        return {}


def _too_large(size: str) -> str:
    return f"{size} pixels exceed the limit of {MAX_PIXELS:,}; shrink the image first"


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are sound, only the note beside them is not; the docstring says so
        return image


def _to_array(image: Image.Image) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _wide_grey(np.asarray(image))
    if image.mode == "1":
        return np.asarray(image.convert("L"))[..., None]
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _flatten(image)
    if image.mode == "L":
        return np.asarray(image)[..., None]
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    return np.asarray(image.convert("RGB"))


def _flatten(image: Image.Image) -> np.ndarray:
    rgba = image.convert("RGBA")
    black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
    flat = np.asarray(Image.alpha_composite(black, rgba).convert("RGB"))
    grey = image.mode in ("L", "LA", "La")
    if image.mode in ("P", "PA"):  # GIF has no other way to hold greys
        red, green, blue = flat[..., 0], flat[..., 1], flat[..., 2]
        grey = bool((red == green).all() and (green == blue).all())
    return flat[..., :1] if grey else flat


def _lab_to_rgb(image: Image.Image) -> np.ndarray:
    """CIE L*a*b* by colour management: Pillow's own ``convert`` has no such path."""
    from PIL import ImageCms

    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB"))


def _wide_grey(values: np.ndarray) -> np.ndarray:
    """Greys of 16 and 32 bits, whole or floating, as :func:`load_image` promises them."""
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    if not finite.any():
        raise ImageError("holds no finite number")
    low, high = float(numbers[finite].min()), float(numbers[finite].max())
    numbers = np.clip(np.nan_to_num(numbers, nan=low), low, high)  # infinities become the extremes
    whole = values.dtype.kind in "iu" or (high > 1 and bool(np.all(numbers == np.round(numbers))))
    if whole and low >= 0 and high <= 255:
        return numbers.astype(np.uint8)[..., None]
    if whole and low >= 0 and high <= 65535:
        stored = numbers.astype(np.uint16)
        # 12 bits: the upper four are repeated below, so that 4095 becomes 65535
        return (stored << 4 | stored >> 8 if high <= 4095 else stored)[..., None]
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (numbers - low) / (high - low) if high > low else np.zeros_like(numbers)
    return np.round(scaled * 65535).astype(np.uint16)[..., None]
