"""The measures of explanations in words: what each is called, and which way is good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        words: its name in tables.
        good: whether high or low values are good; empty where neither is.
        about: one sentence.
    """

    words: str
    good: Literal["high", "low", ""]
    about: str


MEASURES: dict[str, Measure] = {
    "margin": Measure(
        "insertion less deletion",
        "high",
        "Area between two curves of the score: marked places put back into a blurred image first, and taken away first. "
        "0 is what random places give.",
    ),
    "insertion": Measure(
        "insertion", "high", "Mean score while marked places return to a blurred image, the most marked first."
    ),
    "deletion": Measure("deletion", "low", "Mean score while marked places are blurred, the most marked first."),
    "road": Measure(
        "ROAD",
        "high",
        "Loss of score without the most marked places less that without the least marked ones, both filled in from around them.",
    ),
    "correlation": Measure(
        "correlation",
        "high",
        "Correlation of the map's sum over random places with the score that is lost without them.",
    ),
    "pointing": Measure("pointing game", "high", "Share of images whose highest place lies in the mask."),
    "mask_share": Measure("evidence in the mask", "high", "Share of the positive evidence that lies in the mask."),
    "mask_overlap": Measure(
        "overlap with the mask", "high", "Intersection over union of the mask with as many of the highest places."
    ),
    "infidelity": Measure(
        "infidelity", "low", "Squared error of the loss of score that the map foretells for random changes."
    ),
    "max_sensitivity": Measure(
        "max-sensitivity", "low", "Largest relative change of the map under changes too small to see."
    ),
    "random_weights": Measure(
        "map with random weights",
        "",
        "Rank correlation with the map of the same network after all its weights were shuffled; near 0 is right.",
    ),
    "agreement": Measure("agreement", "", "Rank correlation with the maps of the run's own method."),
    "border": Measure(
        "evidence on the border", "", "Share of the positive evidence in the outer tenth along each side."
    ),
    "corners": Measure("evidence in the corners", "", "Share of the positive evidence within a fifth of two sides."),
    "constant": Measure("constant maps", "low", "Share of maps with one value everywhere."),
}
RANKED_BY = ("margin", "road", "correlation", "infidelity", "max_sensitivity")
"""Methods are ranked by the first of these that was measured."""


def ranks_before(measure: str, a: float, b: float) -> bool:
    """Whether figure ``a`` is better than ``b``."""
    return a < b if MEASURES[measure].good == "low" else a > b
