"""Which packages decode which compressed transfer syntax, and whether one is installed."""

from __future__ import annotations

_GDCM = "python-gdcm"
_OPENJPEG = "pylibjpeg pylibjpeg-openjpeg"
_GPL = "pylibjpeg pylibjpeg-libjpeg (under the GPL)"
_JPEG_12 = "1.2.840.10008.1.2.4.51"
PACKAGES = {
    "1.2.840.10008.1.2.4.50": ("pillow", _GDCM),
    _JPEG_12: (_GPL,),
    "1.2.840.10008.1.2.4.57": (_GDCM, _GPL),
    "1.2.840.10008.1.2.4.70": (_GDCM, _GPL),
    "1.2.840.10008.1.2.4.80": ("pyjpegls", _GDCM),
    "1.2.840.10008.1.2.4.81": ("pyjpegls", _GDCM),
    "1.2.840.10008.1.2.4.90": (_OPENJPEG, _GDCM),
    "1.2.840.10008.1.2.4.91": (_OPENJPEG, _GDCM),
    "1.2.840.10008.1.2.4.201": (_OPENJPEG,),
    "1.2.840.10008.1.2.4.202": (_OPENJPEG,),
    "1.2.840.10008.1.2.4.203": (_OPENJPEG,),
}
"""What to install, each entry enough by itself, by UID of the transfer syntax; the free one first."""

_VIDEO = "1.2.840.10008.1.2.4.10"  # MPEG-2 (100, 101), MPEG-4 (102 to 106), HEVC (107, 108)


def syntax_name(uid: str) -> str:
    """The name of a transfer syntax in the standard, or its UID where it has none."""
    from pydicom.uid import UID

    name = UID(uid).name
    return uid if name == uid else name


def missing_decoder(uid: str, bits: int) -> str:
    """Why files of a transfer syntax cannot be decoded here, naming the packages; empty if they can.

    Args:
        uid: of the transfer syntax.
        bits: stored of each sample; Pillow's JPEG has 8 only.
    """
    from pydicom.pixels.decoders.base import get_decoder

    try:
        available = get_decoder(uid).available_plugins
        native = get_decoder(uid).is_native
    except NotImplementedError:
        if uid.startswith(_VIDEO):
            return f"is a video ({syntax_name(uid)}), which is not read; export its frames as images"
        return f"is stored as {_named(uid)}, which pydicom cannot decode; convert it, for instance with dcmconv or gdcmconv"
    if uid == _JPEG_12 and bits > 8:
        available = tuple(name for name in available if name == "pylibjpeg")
    if native or available:
        return ""
    choices = " or ".join(f"pip install {packages}" for packages in PACKAGES.get(uid, ()))
    return f"is compressed as {_named(uid)}, which nothing installed here decodes: {choices}"


def _named(uid: str) -> str:
    name = syntax_name(uid)
    return uid if name == uid else f"{name} ({uid})"
