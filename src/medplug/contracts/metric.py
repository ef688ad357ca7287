"""The contract of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class Metric(Protocol):
    """A figure computed from all predictions of a split, with NumPy on the host.

    Class attributes: ``tasks`` as in a loss; ``higher_is_better``; ``bounds`` (lowest and highest value);
    ``undefined``, the sentence that explains a NaN; and, if wanted, ``reading``, which completes "the model …" in the
    report's summary (``{value}`` is the figure in percent, ``{one}`` and ``{other}`` are the classes). Order of the samples does not matter and inputs are not
    changed. What is undefined (a class without samples, N = 1) is NaN, never 0 and never an exception.
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
