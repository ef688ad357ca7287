"""What a run says of its data before training, and of its results after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medplug.data.checks import CheckReport
from medplug.data.split import proof_line, shared_units
from medplug.progress import Reporter
from medplug.runs.folder import REPORT
from medplug.values import SPLITS, Index, Split


def say_data(index: Index, split: Split, report: CheckReport, reader: str, reporter: Reporter) -> None:
    """Samples, findings, class counts by part, and the proof that parts share nothing."""
    reporter.say(f"data: {len(index)} images, {len(index.classes)} classes ({index.task}), reader {reader}")
    say_findings(report, reporter)
    counts = {part: index.take(split.part(part)).class_counts()[:, 0].astype(int) for part in SPLITS}
    for number, name in enumerate(index.classes):
        reporter.say(f"  {name}: " + "  ".join(f"{part} {counts[part][number]}" for part in SPLITS))
    for note in split.notes:
        reporter.warn(note)
    proof = shared_units(index, split, report.alike)
    reporter.say(f"  shared between parts: {proof_line(proof)}")
    for what, n in proof.items():
        if n:
            reporter.warn(
                f"{n} {what} lie in more than one part of the split: its figures will look better than they are"
            )


def say_findings(report: CheckReport, reporter: Reporter) -> None:
    """One line for each finding; warnings are said even where all else is silent."""
    for finding in report.findings:
        if finding.level in ("ok", "note"):
            reporter.say(f"  {finding.text}")
        else:
            reporter.warn(finding.text)


def say_results(figures: Mapping[str, Any], folder: Path, reporter: Reporter) -> None:
    """The macro figures with their intervals, and where the report is."""
    reporter.say(f"test split, {figures['n']} images:")
    for name, figure in figures["macro"].items():
        if figure["value"] is None:
            reporter.say(f"  {name}: undefined ({figure['reason']})")
            continue
        interval = f" [{figure['low']:.3f}, {figure['high']:.3f}]" if figure.get("low") is not None else ""
        excluded = f" (without {', '.join(figure['excluded'])})" if figure.get("excluded") else ""
        reporter.say(f"  {name}: {figure['value']:.3f}{interval}{excluded}")
    reporter.say(f"report: {folder / REPORT}")
