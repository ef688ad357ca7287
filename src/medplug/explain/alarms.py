"""What is wrong with a map whatever its image shows: it is flat, or its evidence lies at the edge of the image."""

from __future__ import annotations

import numpy as np

from medplug.explain.faithfulness.places import RegionShare, border_share, corner_share, is_constant
from medplug.explain.faithfulness.resizing import to_input_size

HEAVY = 3.0
"""How many times as much evidence per pixel as the rest has makes the border, or the corners, heavy."""
FLAT = 0.5
"""The lowest value of a map, as a share of the highest, from which on its colours hardly tell places apart."""
RANDOM_WEIGHTS = 0.5
"""Rank correlation between the maps of the trained and of the random network from which on the map ignores the weights."""
INCOMPLETE = 0.05
"""The completeness error from which on a map is not what its method promises."""
BORDER, CORNER = 0.1, 0.2  # widths, as shares of an edge
_COARSE, _FINE = 10, 40  # places along an axis: with fewer than 10 a tenth is less than one


def heavy_share(even: float) -> float:
    """The share of the evidence at which a part that holds ``even`` of the pixels becomes heavy."""
    return HEAVY * even / (1 - even + HEAVY * even)


def even_shares(shape: tuple[int, ...]) -> tuple[float, float]:
    """The shares of the border and of the corners in an even map of a size."""
    even = np.ones((1, *shape), np.float32)
    return border_share(even, BORDER).even, corner_share(even, CORNER).even


def map_alarms(raw: np.ndarray) -> tuple[str, ...]:
    """Sentences about one raw map ``[*s]``; none where nothing is wrong.

    Coarse maps are looked at as they are drawn, with values between their places: the border of a map of 4 x 4 places is not
    three quarters of the image.
    """
    maps = np.asarray(raw)[None]
    if is_constant(maps)[0]:
        return ("The map has the same value everywhere: it explains nothing.",)
    low, high = float(maps.min()), float(maps.max())
    flat = (
        (f"Even the lowest value of the map is {100 * low / high:.0f} % of the highest: it hardly tells places apart.",)
        if high > 0 and low > FLAT * high
        else ()
    )
    maps = to_input_size(maps, tuple(_FINE if edge < _COARSE else edge for edge in raw.shape))
    parts = (("border", border_share(maps, BORDER)), ("corners", corner_share(maps, CORNER)))
    return (*flat, *(told for where, found in parts if (told := _told(where, found))))


def incomplete(error: float | None) -> tuple[str, ...]:
    """A sentence about a map whose sum is not what its method promises; none where it is, or promises nothing."""
    if error is None or error <= INCOMPLETE:
        return ()
    off = f"{_percent(error)} off"
    told = f"The values of the map do not sum to the change of the score ({off}): more steps may help, unless it hardly changes."
    return (told,)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 10 else "more than 1,000 %"


def _told(where: str, found: RegionShare) -> str:
    share = float(found.share[0])
    if np.isnan(share) or found.even >= 1 or share < heavy_share(found.even):
        return ""
    return (
        f"{100 * share:.0f} % of the evidence lies on the {where} of the image, where an even map has "
        f"{100 * found.even:.0f} %: look whether something other than the organ is there."
    )
