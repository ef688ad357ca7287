"""What was decided on the validation part and is applied to new cases: ``decision.json``, with NumPy alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medplug.errors import RunError
from medplug.evaluation.calibration_fit import CalibrationFit
from medplug.evaluation.conformal import ConformalFit
from medplug.evaluation.costs import from_names, least_cost, named
from medplug.evaluation.novelty import NoveltyFit
from medplug.values import Predictions, Task

RESERVED = "medplug:"
_FORMAT = 1
_LEAST_LIMIT = 1e-12
_AGAIN = "decide again with `medplug evaluate RUN`, or train again with this version"


@dataclass(frozen=True, eq=False)
class DecisionRules:
    """Thresholds, calibration, conformal sets and limits of novelty of a run.

    Attributes:
        task: as in an index.
        classes: K names.
        calibration: from probabilities to calibrated ones; None where there was no validation part, as are the others.
        thresholds: what :func:`medplug.evaluation.thresholds.choose_thresholds` returned; None where none were wanted.
        conformal: prediction sets.
        novelty: what is unlike the training images.
        costs: ``[K, K]`` of mistakes, rows are the true classes, columns the decided ones; multi-class only, None where
            none were set. Where they are, they decide, and not the thresholds.
    """

    task: Task
    classes: tuple[str, ...]
    calibration: CalibrationFit | None = None
    thresholds: Mapping[str, Any] | None = None
    conformal: ConformalFit | None = None
    novelty: NoveltyFit | None = None
    costs: np.ndarray | None = None

    def threshold_array(self) -> np.ndarray | None:
        """The thresholds ``[K]`` float64, with a stand-in where a class has none; None where no class has one.

        The stand-in is 0.5 in multi-label tasks. In multi-class ones it is the geometric mean of the other thresholds, so
        that classes without a threshold are decided as by the largest probability.
        """
        if self.thresholds is None:
            return None
        values = [self.thresholds["per_class"].get(name, {}).get("value") for name in self.classes]
        found = np.array([np.nan if value is None else value for value in values], np.float64)
        missing = np.isnan(found)
        if missing.all():
            return None
        if self.task == "multilabel":
            return np.where(missing, 0.5, found)
        return np.where(missing, np.exp(np.log(np.maximum(found[~missing], _LEAST_LIMIT)).mean()), found)

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """``[N, K]`` bool of the network's probabilities ``[N, K]``: by costs where there are any, else by thresholds."""
        return self.by_thresholds(probabilities) if self.costs is None else self.by_costs(probabilities)

    def by_costs(self, probabilities: np.ndarray) -> np.ndarray:
        """``[N, K]`` bool, one class each: the one with the least expected cost.

        The expectation is over the calibrated probabilities, or over the network's own where none were fitted.

        Raises:
            ValueError: another number of classes, or there are no costs.
        """
        if self.costs is None:
            raise ValueError("there are no costs to decide by")
        p = self._checked(probabilities)
        if self.calibration is not None:
            p = self.calibration.apply(p)
        return np.arange(p.shape[1]) == least_cost(p, self.costs)[:, None]

    def by_thresholds(self, probabilities: np.ndarray) -> np.ndarray:
        """``[N, K]`` bool of the network's probabilities ``[N, K]``.

        Multi-class: one class, the one with the largest ``p / t`` (of two classes the second where ``p >= t``), or with
        the largest ``p`` where there are no thresholds. Multi-label: the labels with ``p >= t``, 0.5 where there are none.
        """
        p, limits = self._checked(probabilities), self.threshold_array()
        if self.task == "multilabel":
            return p >= (0.5 if limits is None else limits)
        if limits is not None and len(self.classes) == 2:
            second = p[:, 1] >= limits[1]
            return np.stack([~second, second], axis=1)
        ratio = p if limits is None else p / np.maximum(limits, _LEAST_LIMIT)
        return np.arange(p.shape[1]) == ratio.argmax(1)[:, None]

    def _checked(self, probabilities: np.ndarray) -> np.ndarray:
        p = np.asarray(probabilities, np.float64)
        if p.ndim != 2 or p.shape[1] != len(self.classes):
            raise ValueError(f"probabilities must be [N, {len(self.classes)}], got {list(p.shape)}")
        return p

    def columns(
        self, predictions: Predictions, energy: np.ndarray | None = None, features: np.ndarray | None = None
    ) -> dict[str, list[str]]:
        """The further columns of a table of predictions, N texts each, under reserved names.

        Args:
            predictions: targets are not looked at.
            energy: ``[N]``, None where only probabilities are known: then nothing is told of novelty.
            features: ``[N, D]``, likewise.

        Returns:
            ``medplug:decision``, see :meth:`decide`; ``medplug:calibrated:CLASS`` where calibration was fitted; ``medplug:conformal``, classes
            joined by ``+``, empty for an empty set; ``medplug:unlike_training`` (``yes`` or ``no``), ``medplug:energy``
            and ``medplug:neighbours``.
        """
        p = np.asarray(predictions.probabilities, np.float64)
        found = {f"{RESERVED}decision": self._joined(self.decide(p))}
        if self.calibration is not None and self.calibration.method != "none":
            for name, column in zip(self.classes, self.calibration.apply(p).T, strict=True):
                found[f"{RESERVED}calibrated:{name}"] = [repr(v) for v in column.tolist()]
        if self.conformal is not None and self.conformal.skipped is None:
            found[f"{RESERVED}conformal"] = self._joined(self.conformal.sets(p))
        if self.novelty is not None and self.novelty.skipped is None and energy is not None and features is not None:
            distances, energies, flagged = self.novelty.score(features, energy)
            found[f"{RESERVED}unlike_training"] = ["yes" if flag else "no" for flag in flagged.tolist()]
            found[f"{RESERVED}energy"] = [f"{v:.6g}" for v in energies.tolist()]
            found[f"{RESERVED}neighbours"] = [f"{v:.6g}" for v in distances.tolist()]
        return found

    def _joined(self, sets: np.ndarray) -> list[str]:
        return ["+".join(c for c, there in zip(self.classes, row, strict=True) if there) for row in sets.tolist()]

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``decision.json``, without the reference of ``novelty``, an array."""
        return {
            "format": _FORMAT,
            "task": self.task,
            "classes": list(self.classes),
            "thresholds": None if self.thresholds is None else dict(self.thresholds),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "conformal": None if self.conformal is None else self.conformal.to_json(),
            "novelty": None if self.novelty is None else self.novelty.to_json(),
            "costs": None if self.costs is None else named(self.costs, self.classes),
        }

    @classmethod
    def from_json(cls, values: Any, reference: np.ndarray | None = None, where: str = "decision.json") -> DecisionRules:
        """The inverse of :meth:`to_json`.

        Args:
            values: what the file holds.
            reference: ``[M, D]`` float32 of ``novelty.reference``, from a file of its own; None where there is none.
            where: the file, for messages.

        Raises:
            RunError: another version wrote it, it is damaged, or the reference of novelty is missing.
        """
        if not isinstance(values, Mapping):
            raise RunError(f"{where} is damaged: it holds no table of values; {_AGAIN}")
        if values.get("format") != _FORMAT:
            raise RunError(
                f"{where}: written by another version of medplug (format {values.get('format')}, this one reads {_FORMAT}); "
                f"{_AGAIN}"
            )
        novelty = values.get("novelty")
        arrays = {} if reference is None else {"reference": reference}
        if isinstance(novelty, Mapping) and novelty.get("skipped") is None and not arrays:
            raise RunError(
                f"{where}: the features of training images that it belongs to are missing; restore them, or {_AGAIN}"
            )
        try:
            rules = cls(
                values["task"],
                tuple(values["classes"]),
                None if values["calibration"] is None else CalibrationFit.from_json(values["calibration"]),
                values["thresholds"],
                None if values["conformal"] is None else ConformalFit.from_json(values["conformal"]),
                None if novelty is None else NoveltyFit.from_arrays(novelty, arrays),
                # Files of the first versions have no such key.
                None if values.get("costs") is None else from_names(values["costs"], tuple(values["classes"])),
            )
            rules._check()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{where} is damaged ({type(error).__name__}: {error}); {_AGAIN}") from None
        return rules

    def _check(self) -> None:
        """That all parts are of the same classes and task."""
        if self.task not in ("multiclass", "multilabel"):
            raise ValueError(f"no such task: {json.dumps(self.task)}")
        for part in (self.calibration, self.conformal):
            if part is not None and (part.classes != self.classes or part.task != self.task):
                raise ValueError(f"{type(part).__name__} is of other classes or another task")
        if self.costs is not None and self.task != "multiclass":
            raise ValueError("costs are of tasks with one class per image")
        limits = self.threshold_array()
        if limits is not None and not ((limits >= -1e-9) & (limits <= 1 + 1e-9)).all():
            raise ValueError(f"thresholds must lie between 0 and 1, got {limits.tolist()}")
