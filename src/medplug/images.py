"""One image file to pixels, with a decided outcome for every mode that Pillow knows."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from medplug import reading
from medplug.errors import MedplugError

MAX_PIXELS = 89_478_485
"""More pixels than these are taken for a decompression bomb. It is the size from which Pillow warns, so that
every image that Pillow would only warn of is refused here, and its warning can be switched off."""

_DEPTHS = (8, 10, 12, 14, 16)
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE = 258, 262, 281  # fields of a TIFF header

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jpg", ".jpeg")

# Filters for the whole process rather than `catch_warnings` around each call: that one is not safe with threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)

_ALPHA_MODES = frozenset({"P", "PA", "LA", "La", "RGBA", "RGBa"})


class ImageError(MedplugError):
    """An image that cannot be read, with the reason as its message."""


def load_image(path: str | Path, *, convert: bool = False, bits: int | None = None) -> np.ndarray:
    """The pixels of an image file: ``[H, W, C]``, uint8 (0..255) or uint16 (0..65535); C is 1 (grey) or 3 (RGB).

    - The first frame or page counts (``file_facts`` tells how many there are). The EXIF orientation is applied; damaged
      EXIF data count as none.
    - Palettes are looked up; one of greys only gives grey.
    - Transparency is flattened on black, the colour of scanners' empty borders.
    - CMYK, YCbCr, HSV and LAB become RGB. Grey stays one channel; 1-bit grey becomes 0 and 255.
    - Greys of more than 8 bits come as uint16 that fills its range. Their true depth is ``bits``, or what a TIFF file
      says (BitsPerSample, or a MaxSampleValue of 2^n - 1), or the smallest of 8, 10, 12, 14 and 16 bits that holds the
      image's largest value; 8-bit data stored in 16 come as uint8. Nothing is clipped. TIFF files in which white is
      zero are inverted.
    - Floating greys in 0..1 are scaled by 65535; anything else (negative, beyond 16 bits, fractions) is scaled from its
      own smallest and largest value.
    - Colours of 16 bits per channel come as their upper 8 bits, which is what Pillow reads.

    With ``convert`` it is what Pillow's ``convert("RGB")`` makes of the file, always ``[H, W, 3]`` uint8: more than
    8 bits saturate, the EXIF orientation is ignored, transparency is dropped. Only for comparison with
    pipelines that read images that way.

    Args:
        path: the file; its content counts, not its extension.
        convert: read as ``convert("RGB")`` does.
        bits: true depth of greys that are stored in more than 8 bits.

    Raises:
        ImageError: not an image, damaged, truncated, larger than :data:`MAX_PIXELS`, or with greys beyond ``bits``.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(_too_large(f"{width}x{height}"))
            if reading.is_reading():
                reading.note_header(os.fspath(path), _header(image, path))
            image.load()
            if convert:
                return np.asarray(image.convert("RGB"))
            return from_pillow(image, bits)
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


def find_mask(folder: str | Path, name: str) -> Path | None:
    """The mask of an image in a folder of masks with the images' relative names; None where there is none.

    Its name may end in another extension of an image, and in ``_mask`` before it: of ``cyst/7.jpg`` it is
    ``cyst/7.jpg``, ``cyst/7.png`` or ``cyst/7_mask.png``, the first that is there.
    """
    place = Path(folder) / name
    for stem in (place.stem, f"{place.stem}_mask"):
        for suffix in (place.suffix, *MASK_SUFFIXES):
            found = place.with_name(f"{stem}{suffix}") if stem else place
            if found.is_file():
                return found
    return None


def load_mask(path: str | Path) -> np.ndarray:
    """The mask in an image file: ``[H, W]`` bool, true where a pixel is not black (in a JPEG: lighter than half).

    Raises:
        ImageError: as :func:`load_image`.
    """
    pixels = load_image(path)
    lossy = Path(path).suffix.lower() in (".jpg", ".jpeg")
    return pixels.max(-1) > (np.iinfo(pixels.dtype).max // 2 if lossy else 0)


def from_pillow(image: Image.Image, bits: int | None = None) -> np.ndarray:
    """The pixels of an image that Pillow has opened, by the rules of :func:`load_image`."""
    if _is_wide(image.mode):
        return _wide_grey(np.asarray(_upright(image)), bits, _told_bits(image), _tag(image, _PHOTOMETRIC) == 0)
    return _to_array(_upright(image))


def file_facts(path: str | Path) -> dict[str, str | int | float]:
    """What the header of an image file tells beside its pixels, for the check on shortcuts.

    ``format`` (of the content, whatever the name says), ``extension``, ``mode``, ``bits`` (stored, per channel),
    ``width``, ``height``, ``frames`` (pages of a TIFF, frames of a GIF: the first counts, the others are left out),
    ``bytes``, ``exif`` (0 or 1) and, for JPEG, ``quality``: the mean entry of its quantisation tables, larger where more
    was thrown away. Empty where the file is no image. The pixels are not decoded.
    """
    known = reading.header(os.fspath(path))
    if known is not None:
        return dict(known)
    try:
        with Image.open(path) as image:
            return _header(image, path)
    except Exception:  # decoders raise nearly anything; `load_image` is the place that says why
        return {}


def _header(image: Image.Image, path: str | Path) -> dict[str, str | int | float]:
    """What :func:`file_facts` tells, of an image that is open and not loaded yet; empty where the header is damaged."""
    try:
        tables = getattr(image, "quantization", None)
        facts: dict[str, str | int | float] = {
            "format": image.format or "",
            "extension": os.path.splitext(path)[1].lower(),
            "mode": image.mode,
            "bits": _stored_bits(image),
            "width": image.width,
            "height": image.height,
            "frames": int(getattr(image, "n_frames", 1)),
            "bytes": os.stat(path).st_size,
            "exif": int("exif" in image.info),
        }
        if tables:
            entries = [value for table in tables.values() for value in table]
            facts["quality"] = round(sum(entries) / len(entries), 2)
        return facts
    except Exception:  # as above
        return {}


def depth_of(highest: float) -> int:
    """The smallest usual depth, 8 to 16 bits in steps of two, that holds a value of at most 65535.

    >>> depth_of(255), depth_of(256), depth_of(4095), depth_of(4096)
    (8, 10, 12, 14)
    """
    return next(bits for bits in _DEPTHS if highest < 2**bits)


def _is_wide(mode: str) -> bool:
    return mode in ("I", "F") or mode.startswith("I;16")


def _tag(image: Image.Image, number: int) -> object:
    """A field of a TIFF header; None for other files."""
    return getattr(image, "tag_v2", {}).get(number)


def _told_bits(image: Image.Image) -> int | None:
    """The depth that a TIFF file gives for its greys where it is not that of their storage."""
    stored = _stored_bits(image)
    if 8 < stored < 16:
        return stored
    highest = _tag(image, _MAX_SAMPLE)
    highest = highest[0] if isinstance(highest, tuple) and highest else highest
    if isinstance(highest, int) and 255 < highest < 65535 and (highest & (highest + 1)) == 0:
        return highest.bit_length()
    return None


def _stored_bits(image: Image.Image) -> int:
    sizes = _tag(image, _BITS_PER_SAMPLE)
    if isinstance(sizes, tuple) and sizes:
        return int(max(sizes))
    tiles = getattr(image, "tile", None)
    if image.format == "PNG" and tiles and ";16" in str(tiles[0][3]):  # also colours, of which Pillow makes 8 bits
        return 16
    return {"1": 1, "I": 32, "F": 32}.get(image.mode, 16 if image.mode.startswith("I;16") else 8)


def _too_large(size: str) -> str:
    return f"{size} pixels exceed the limit of {MAX_PIXELS:,}; shrink the image first"


def _upright(image: Image.Image) -> Image.Image:
    """The image itself where it is upright already, which spares a copy; else another one."""
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # the pixels are sound, only the note beside them is not; the docstring says so
        return image


def _to_array(image: Image.Image) -> np.ndarray:
    if image.mode == "1":
        return np.asarray(image.convert("L"))[..., None]
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _flatten(image)
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    pixels = np.asarray(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    reading.note_picture(pixels, image)
    return pixels


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


def _wide_grey(values: np.ndarray, bits: int | None, told: int | None, inverted: bool) -> np.ndarray:
    """Greys of 16 and 32 bits, whole or floating, as :func:`load_image` promises them."""
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    if not finite.any():
        raise ImageError("holds no finite number")
    low, high = float(numbers[finite].min()), float(numbers[finite].max())
    numbers = np.clip(np.nan_to_num(numbers, nan=low), low, high)  # infinities become the extremes
    whole = values.dtype.kind in "iu" or (high > 1 and bool(np.all(numbers == np.round(numbers))))
    if whole and low >= 0 and high <= 65535:
        grey = _filled(numbers.astype(np.uint16), _depth(int(high), bits, told))
    else:
        if low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        scaled = (numbers - low) / (high - low) if high > low else np.zeros_like(numbers)
        grey = np.round(scaled * 65535).astype(np.uint16)
    return (np.iinfo(grey.dtype).max - grey if inverted else grey)[..., None]


def _depth(highest: int, bits: int | None, told: int | None) -> int:
    if bits is not None:
        if highest >= 2**bits:
            raise ImageError(f"holds the value {highest}, which {bits} bits do not: give the true depth, or none")
        return bits
    return told if told is not None and highest < 2**told else depth_of(highest)


def _filled(stored: np.ndarray, bits: int) -> np.ndarray:
    """Whole numbers of 8 to 16 bits over the whole range of uint8 or uint16; their upper bits are repeated below."""
    if bits == 8:
        return stored.astype(np.uint8)
    return stored << (16 - bits) | stored >> (2 * bits - 16)
