"""Figures as SVG. Colours are classes of one style sheet, so that light, dark, print and exports share one drawing."""

from medplug.report.figures.axes import nice_ticks, panel_grid, panel_svg
from medplug.report.figures.calibration import even_bins, reliability_panel
from medplug.report.figures.collection import (
    all_figures,
    calibration_panels,
    class_forest,
    curve_panels,
    leading_metric,
    set_sizes,
    subgroup_forest,
)
from medplug.report.figures.counts import bars, confusion_matrix
from medplug.report.figures.curves import decision_panel, precision_recall_panel, roc_panel, side_of
from medplug.report.figures.intervals import ForestRow, forest, scale_bar, whisker
from medplug.report.figures.style import STYLE, page_style
from medplug.report.figures.training import epoch_ticks, loss_curves, phases

__all__ = [
    "STYLE",
    "ForestRow",
    "all_figures",
    "bars",
    "calibration_panels",
    "class_forest",
    "confusion_matrix",
    "curve_panels",
    "decision_panel",
    "epoch_ticks",
    "even_bins",
    "forest",
    "leading_metric",
    "loss_curves",
    "nice_ticks",
    "page_style",
    "panel_grid",
    "panel_svg",
    "phases",
    "precision_recall_panel",
    "reliability_panel",
    "roc_panel",
    "scale_bar",
    "set_sizes",
    "side_of",
    "subgroup_forest",
    "whisker",
]
