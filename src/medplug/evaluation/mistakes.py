"""Where predictions and labels disagree: the surest errors, what is taken for what, and labels that may be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medplug.errors import DataError
from medplug.values import Predictions

CONFIDENT = 24  # errors that are listed
PAIRS = 50  # confusions that are listed
ISSUES = 200  # labels that are listed


def mistakes_analysis(
    test: Predictions, validation: Predictions | None = None, out_of_fold: Predictions | None = None
) -> dict[str, Any]:
    """The most confident errors, confusions, and likely label errors.

    Args:
        test: with targets; errors and confusions are those of this part.
        validation: with targets, looked through for wrong labels as well.
        out_of_fold: predictions of training samples by networks that did not see them, in place of the validation
            part: with them the whole data set is looked through. Samples that stand in several parts count once.

    Returns:
        ``"confident"``: ``[{"sample", "label", "predicted", "probability"}]``, at most 24 wrong decisions, the surest
        first. In multi-label tasks each entry is about one label, which is "no X" where X is absent.

        ``"pairs"``: ``[{"truth", "predicted", "n", "of"}]``, at most 50, the most frequent first: how many of the
        samples of one class are predicted as another. In multi-label tasks: the one is missed where the other is
        falsely found.

        ``"label_issues"``: ``[{"sample", "part", "label", "suggested", "probability"}]``, at most 200, the least
        plausible label first; ``"label_issue_count"`` tells how many there are; ``"label_source"`` says which
        predictions were used.
    """
    _check(test)
    parts: list[tuple[str, Predictions]] = []
    if out_of_fold is not None:
        parts.append(("out-of-fold", out_of_fold))
    elif validation is not None:
        parts.append(("validation", validation))
    parts.append(("test", test))
    issues, counts = _label_issues(parts)
    return {
        "confident": _confident(test),
        "label_issues": issues[:ISSUES],
        "label_issue_count": len(issues),
        "label_source": _source(counts),
        "pairs": _pairs(test),
    }


def confident_learning(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples whose label is likely wrong, and the label that they look like.

    A sample counts for a class where its probability is at least the mean probability of that class among the samples
    labelled so, which allows for classes that a network is less sure of. It is an issue where the most probable such
    class is not its label, and the largest probability neither.

    Args:
        labels: ``[N]`` int.
        probabilities: ``[N, K]``, of a network that was not trained on these samples.

    Returns:
        Rows ``[M]``, the ones with the least plausible label first, and suggested labels ``[M]``.

    Reference: Northcutt, Jiang and Chuang, Journal of Artificial Intelligence Research 70, 2021 (the off-diagonal of
    their confident joint).
    """
    n, k = probabilities.shape
    counts = np.bincount(labels, minlength=k)
    own = probabilities[np.arange(n), labels]
    limits = np.where(counts > 0, np.bincount(labels, own, minlength=k) / np.maximum(counts, 1), np.inf)
    counted = np.where(probabilities >= limits, probabilities, -1.0)
    suggested = counted.argmax(1)
    wrong = (counted.max(1) >= 0) & (suggested != labels) & (probabilities.argmax(1) != labels)
    rows = np.flatnonzero(wrong)
    margin = own[rows] - probabilities[rows, suggested[rows]]
    rows = rows[np.argsort(margin, kind="stable")]
    return rows, suggested[rows]


def _confident(test: Predictions) -> list[dict[str, Any]]:
    targets, p = np.asarray(test.targets), test.probabilities
    if test.task == "multilabel":
        called = p >= 0.5
        wrong = np.where(called, targets < 0.5, targets >= 0.5)  # an unknown label (NaN) is neither
        sure = np.where(called, p, 1 - p)
    else:
        wrong = (np.arange(p.shape[1]) == p.argmax(1)[:, None]) & (targets < 0.5)
        sure = p
    found = sorted((-float(sure[r, c]), test.samples[r], int(r), int(c)) for r, c in np.argwhere(wrong))
    listed = []
    for minus, sample, r, c in found[:CONFIDENT]:
        name = test.classes[c]
        if test.task == "multilabel":
            present, predicted = (name, f"no {name}") if p[r, c] < 0.5 else (f"no {name}", name)
        else:
            present, predicted = test.classes[int(targets[r].argmax())], name
        listed.append({"sample": sample, "label": present, "predicted": predicted, "probability": -minus})
    return listed


def _pairs(test: Predictions) -> list[dict[str, Any]]:
    targets, p = np.asarray(test.targets), test.probabilities
    k = p.shape[1]
    truth = targets >= 0.5
    if test.task == "multilabel":
        called = p >= 0.5
        missed, false = truth & ~called, called & (targets < 0.5)
    else:
        called = np.arange(k) == p.argmax(1)[:, None]
        missed, false = truth & ~called, called & ~np.isnan(targets)
    counts = missed.T.astype(np.int64) @ false.astype(np.int64)
    of = truth.sum(0)
    cells = [(int(counts[t, c]), int(of[t]), t, c) for t in range(k) for c in range(k) if t != c and counts[t, c]]
    cells.sort(key=lambda cell: (-cell[0], cell[1], cell[2], cell[3]))
    return [
        {"truth": test.classes[t], "predicted": test.classes[c], "n": n, "of": total}
        for n, total, t, c in cells[:PAIRS]
    ]


def _label_issues(parts: Sequence[tuple[str, Predictions]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """All issues of the parts together, the least plausible label first, and the number of samples by part."""
    first = parts[0][1]
    seen: set[str] = set()
    counts: dict[str, int] = {}
    rows: list[tuple[str, str]] = []
    targets, probabilities = [], []
    for part, predictions in parts:
        _check(predictions)
        if predictions.classes != first.classes:
            raise DataError(f"the {part} predictions have other classes than the {parts[0][0]} ones")
        fresh = [i for i, name in enumerate(predictions.samples) if name not in seen]
        seen.update(predictions.samples)
        counts[part] = len(fresh)
        rows += [(predictions.samples[i], part) for i in fresh]
        targets.append(np.asarray(predictions.targets, np.float32)[fresh])
        probabilities.append(np.asarray(predictions.probabilities, np.float64)[fresh])
    labels, p = np.concatenate(targets), np.concatenate(probabilities)
    found: list[tuple[float, dict[str, Any]]] = []
    for names, known, given, likely in _questions(labels, p, first):
        issues, suggested = confident_learning(given, likely)
        for i, to in zip(issues.tolist(), suggested.tolist(), strict=True):
            sample, part = rows[known[i]]
            issue = {"sample": sample, "part": part, "label": names[given[i]], "suggested": names[to]}
            margin = float(likely[i, given[i]] - likely[i, to])
            found.append((margin, {**issue, "probability": float(likely[i, to])}))
    found.sort(key=lambda entry: (entry[0], entry[1]["sample"], entry[1]["label"]))
    return [issue for _, issue in found], counts


def _questions(
    targets: np.ndarray, probabilities: np.ndarray, like: Predictions
) -> list[tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]]:
    """Names, rows, labels and probabilities of each question: one in multi-class tasks, one a label in others."""
    if like.task == "multiclass":
        known = np.flatnonzero(~np.isnan(targets).any(1))
        return [(like.classes, known, targets[known].argmax(1), probabilities[known])]
    questions = []
    for c, name in enumerate(like.classes):
        known = np.flatnonzero(~np.isnan(targets[:, c]))
        p = probabilities[known, c]
        labels = (targets[known, c] >= 0.5).astype(np.int64)
        questions.append(((f"no {name}", name), known, labels, np.stack([1 - p, p], axis=1)))
    return questions


def _source(counts: dict[str, int]) -> str:
    told = " and ".join(f"{n:,} {part}" for part, n in counts.items() if n)
    total = sum(counts.values())
    sentence = (
        f"Found by confident learning (Northcutt et al. 2021) in predictions for {told} "
        f"{'sample' if total == 1 else 'samples'}, none of which the network that predicts it was trained on."
    )
    if counts.get("validation"):
        sentence += (
            " The validation samples helped to choose its weights, so that wrong labels among them may be missed."
        )
    if "out-of-fold" not in counts:
        sentence += " Labels of training samples were not looked at: that takes predictions from folds."
    return sentence


def _check(predictions: Predictions) -> None:
    if predictions.targets is None:
        raise DataError("these predictions have no labels: mistakes cannot be told")
