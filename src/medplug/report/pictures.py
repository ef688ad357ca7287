"""Pictures inside a page."""

from __future__ import annotations

import base64
import io

from PIL import Image


def data_address(picture: Image.Image, edge: int) -> str:
    """A picture as the address of itself, reduced to ``edge`` pixels."""
    small = picture.copy()
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=88, subsampling=0)  # full colour resolution: the map is all colour
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
