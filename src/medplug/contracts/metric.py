"""The contract of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class Metric(Protocol):
    """A figure computed from all predictions of a split, with NumPy on the host.

    Class attributes: ``tasks`` as in a loss; ``higher_is_better``; ``bounds`` (lowest and highest value, which may be
    infinite); ``undefined``, the sentence that explains a NaN. Order of the samples does not matter and inputs are not
    changed. What is undefined (a class without samples, N = 1) is NaN, never 0 and never an exception.

    What a metric may have besides, each looked for by name:

    ``reading`` (str)
        Completes "the model …" in the report's summary: ``{value}`` is the figure in percent, ``{one}`` and
        ``{other}`` are the classes.
    ``vectorised`` (bool)
        ``sample_weight`` may also be ``[R, N]``, R weightings at once; the result is then ``[R]`` or ``[R, K]``.
    ``micro(targets, probabilities, sample_weight, thresholds)``
        The figure over all decisions or scores of all classes together, a float.
    ``average`` (bool)
        False where a mean over classes says nothing: the macro and weighted figures are then left out.
    ``ideal`` (float)
        The best value of a metric that is neither better when higher nor when lower, such as a slope of 1.
    ``inverted_below`` (float)
        A defined figure below it raises the question whether labels or scores are inverted.
    ``interval`` (str)
        How an interval is made: ``"bootstrap"`` (BCa; the default), ``"logit"`` (normal on the logit scale, for
        figures in (0, 1)), ``"normal"`` (normal on the figure's own scale), or ``"wilson"`` (a share of samples).
    ``influence(targets, probabilities, thresholds)``
        Needed by ``"logit"`` and ``"normal"``, used by the others where it is there: ``[N]``, or ``[N, K]`` for a
        metric with a value per class. Row i is what sample i adds to the error of the figure: for independent samples
        the sum of squares estimates the variance, and sums within groups give that of clustered samples; the rows of
        a class sum to 0, and those of unknown labels are 0.
    ``variance`` (str)
        Whose variance the influence gives, named beside the interval: ``"DeLong"``.
    ``trials(targets, probabilities, thresholds)``
        Needed by ``"wilson"``: of how many samples the figure is a share, a float or ``[K]``.
    ``companion(targets, probabilities, thresholds)``
        What must be read beside the figure, as ``{NAME: float or [K]}``; such as the value of a perfect model.
    """

    tasks: tuple[str, ...]
    higher_is_better: bool
    bounds: tuple[float, float]
    undefined: str

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float, or one value per class ``[K]``, whose mean over the defined classes is the macro figure.

        ``targets`` ``[N, K]`` float32 (NaN: unknown), ``probabilities`` ``[N, K]`` float64, ``sample_weight`` ``[N]``:
        a weight of 2 equals the sample twice, 0 its absence; intervals are made by such weights. ``thresholds`` ``[K]`` replace 0.5 in multi-label
        decisions; without them multi-class decisions are the largest probability.
        """
        ...
