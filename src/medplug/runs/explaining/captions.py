"""What is written under a map, so that the picture can be understood without anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medplug.config.settings import RenderingSettings
from medplug.explain.alarms import INCOMPLETE
from medplug.explain.panel import Caption, number


def nothing(entry: Mapping[str, Any]) -> str:
    """What is said of a map without a positive value."""
    return f"no value of the map speaks {'against' if entry['against'] else 'for'} {entry['explained']}"


def caption_of(entry: Mapping[str, Any], settings: RenderingSettings, class_specific: bool = True) -> Caption:
    """The caption of an entry of the listing that has its scale."""
    title = f"{entry['explained']}: {100 * entry['probability']:.1f} %, explained by {entry['method']}"
    lines = [f"Image: {entry['sample']}", _prediction(entry), _evidence(entry, settings), _scale(entry, settings)]
    lines += [*entry["alarms"]]
    if entry["slice"]:
        lines.append(
            f"Shown is the slice with the largest value of the map, {'/'.join(str(i + 1) for i in entry['slice'])}."
        )
    if not class_specific:
        lines.append("This method gives the same map for every class.")
    what = "Lines show" if settings.style == "contour" else "Colour shows"
    score = "the score of this class" if class_specific else "the network"
    if entry["positive_evidence"] or not settings.rectify:
        lines.append(f"{what} where {score} is sensitive, not where a disease is.")
    return Caption(title, [line for line in lines if line])


def _prediction(entry: Mapping[str, Any]) -> str:
    told = []
    if entry["predicted"]:
        told.append(f"Predicted: {', '.join(f'{name} {100 * p:.1f} %' for name, p in entry['predicted'].items())}.")
    if entry["labels"]:
        told.append(f"Label: {', '.join(entry['labels'])}.")
    if entry["right"] is not None:
        told.append("Right." if entry["right"] else "Wrong.")
    return " ".join(told)


def _evidence(entry: Mapping[str, Any], settings: RenderingSettings) -> str:
    if not entry["positive_evidence"]:
        told = nothing(entry)
        return f"{told[0].upper()}{told[1:]}{': nothing is drawn' if settings.rectify else ''}."
    low, high = entry["raw_range"]
    told = (
        f"Map: {number(low)} to {number(high)}; {100 * entry['positive_share']:.0f} % of its evidence is "
        f"{'against' if entry['against'] else 'for'} the class."
    )
    error = entry.get("completeness_error")
    if error is None or error > INCOMPLETE:  # then there is an alarm
        return told
    return f"{told} Its values sum to the change of the score to within {100 * error:.1f} %."


def _scale(entry: Mapping[str, Any], settings: RenderingSettings) -> str:
    low, high = entry["scale"]
    if low == high:
        return ""
    ends = f"{number(low)} to {number(high)}"
    if entry["scale_kind"] == "shared":
        return f"Scale: {ends}, shared by all maps of {entry['explained']} that were made together."
    return f"Scale: {ends}, of this image alone."
