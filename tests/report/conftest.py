"""Invented facts of runs that never took place; their analyses come from simulated predictions."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.evaluation.proportions import wilson
from medplug.report.facts import ChecklistItem, ExplainedImage, ReportFacts

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</style></title>&amp;",
    "\u202eesrever\u0000 \ud800 a very long name without any reason to be so long",
)
READINGS = {"ranking": "ranks {one} above {other} in {value} of pairs"}
FINDINGS = (
    "atelectasis", "cardiomegaly", "consolidation", "oedema", "effusion", "emphysema", "fibrosis", "hernia", "infiltration",
    "mass", "nodule", "pleural thickening", "pneumonia", "pneumothorax", "no finding", "aortic enlargement with calcification",
    "interstitial lung disease (all forms taken together)", "lung opacity", "other lesion", "rib fracture", "scoliosis",
    "support devices", "tuberculosis", "granuloma", "bronchiectasis", "cavity", "hilar lymphadenopathy", "pulmonary scar", "catheter",
)  # fmt: skip


def picture(seed: int, height: int = 150, width: int = 200, *, noisy: bool = True) -> bytes:
    """A PNG with a bright blob, and noise in every pixel as in ultrasound."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    blob = np.exp(-((y - height / 2) ** 2 + (x - width * rng.uniform(0.3, 0.7)) ** 2) / (0.06 * height * width))
    pixels = 160 * blob[..., None] * [1.0, 0.8, 0.6] + (rng.gamma(2, 25, (height, width, 1)) if noisy else 20)
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def figure(
    value: float | None,
    spread: float = 0.03,
    reason: str = "no positive samples in the test split",
    method: str = "BCa",
) -> dict[str, Any]:
    if value is None:
        return {"value": None, "reason": reason}
    methods = {"BCa": "95 % BCa bootstrap over 52 groups, 1000 resamples", "DeLong": "95 % DeLong on the logit scale"}
    low, high = max(0.0, value - spread), min(1.0, value + spread)
    return {"value": value, "low": low, "high": high, "method": methods.get(method, method)}


def proportion(k: int, n: int) -> dict[str, Any]:
    if n == 0:
        return {"value": None, "reason": "no samples to count"}
    return figure(k / n, 1.96 * (k / n * (1 - k / n) / n + 0.0004) ** 0.5, method=f"95 % Wilson over {n} samples")


def simulate(counts: Sequence[int], task: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and probabilities ``[N, K]`` of a fair model."""
    rng = np.random.default_rng(seed)
    k = len(counts)
    n = max(sum(counts), 40)
    targets = np.zeros((n, k), bool)
    if task == "multilabel":
        for c, positives in enumerate(counts):
            targets[rng.choice(n, positives, replace=False), c] = True
        return targets, 1 / (1 + np.exp(-(rng.normal(-2, 1.2, (n, k)) + 2.6 * targets)))
    targets = np.eye(k, dtype=bool)[np.repeat(np.arange(k), counts)]
    logits = rng.normal(0, 1, targets.shape) + 2.0 * targets
    odds = np.exp((1.0 if k == 2 else 1.4) * logits)
    return targets, odds / odds.sum(1, keepdims=True)


def curves_of(truth: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """Operating counts, ROC, precision-recall and decision curve of one class, with made-up bands."""
    m, n = int(truth.sum()), int((~truth).sum())
    limits = np.concatenate([[1.0001], np.quantile(p, np.linspace(1, 0, min(199, len(p)))), [0.0]])
    hits = np.array([int((truth & (p >= t)).sum()) for t in limits])
    alarms = np.array([int((~truth & (p >= t)).sum()) for t in limits])
    of = {
        "sensitivity": (hits, m),
        "specificity": (n - alarms, n),
        "ppv": (hits, hits + alarms),
        "npv": (n - alarms, m + n - hits - alarms),
    }
    ends = {rate: wilson(k, total + 0 * k, 0.95) for rate, (k, total) in of.items()}
    intervals = {
        rate: {
            key: [None if np.isnan(v) else v for v in values.tolist()]
            for key, values in zip(("low", "high"), both, strict=True)
        }
        for rate, both in ends.items()
    }
    operating = {
        "intervals": intervals, "method": "95 % Wilson interval",
        "threshold": limits.tolist(), "true_positives": hits.tolist(), "false_positives": alarms.tolist(), "positives": m, "negatives": n,
    }  # fmt: skip
    if m == 0 or n == 0:
        return {"operating": operating, "roc": None, "precision_recall": None, "decision": None}
    fpr, tpr, called = alarms / n, hits / m, hits + alarms
    precision = np.where(called > 0, hits / np.maximum(called, 1), 1.0)
    at = np.linspace(0.01, 0.99, 99)
    tp, fp = (np.array([((truth == kind) & (p >= t)).mean() for t in at]) for kind in (True, False))
    model, everyone = tp - fp * at / (1 - at), m / (m + n) - (1 - m / (m + n)) * at / (1 - at)

    def around(v: np.ndarray, by: float) -> dict[str, Any]:
        return {"low": np.clip(v - by, 0, 1).tolist(), "high": np.clip(v + by, 0, 1).tolist()}

    return {
        "operating": operating,
        "roc": {"fpr": fpr.tolist(), "tpr": tpr.tolist(), **around(tpr, 0.06)},
        "precision_recall": {"recall": tpr.tolist(), "precision": precision.tolist(), **around(precision, 0.08), "prevalence": m / (m + n)},
        "decision": {
            "threshold": at.tolist(), "model": model.tolist(), "low": (model - 0.02).tolist(), "high": (model + 0.02).tolist(),
            "all": everyone.tolist(), "prevalence": m / (m + n),
        },
    }  # fmt: skip


def bins(truth: np.ndarray, p: np.ndarray) -> list[dict[str, Any]]:
    edges, found = np.linspace(0, 1, 11), []
    for low, high in pairwise(edges):
        inside = (p >= low) & ((p < high) | (high == 1))
        n = int(inside.sum())
        share = float(truth[inside].mean()) if n else None
        shown = proportion(int(truth[inside].sum()), n)
        found.append({
            "low": float(low), "high": float(high), "n": n, "predicted": float(p[inside].mean()) if n else None, "observed": share,
            "observed_low": shown.get("low"), "observed_high": shown.get("high"),
        })  # fmt: skip
    return found


def calibrated(classes: Sequence[str], targets: np.ndarray, p: np.ndarray, slope: float, task: str) -> dict[str, Any]:
    top = p.argmax(1)
    right = targets[np.arange(len(p)), top]
    return {
        "log_loss": {"value": 0.61 / slope}, "brier": {"value": 0.31 / slope}, "ece": {"value": 0.09 / slope, "null": 0.053, "p": 0.0004},
        "top_label": bins(right, p.max(1)) if task == "multiclass" else None,
        "per_class": {
            c: {"slope": {"value": slope} if targets[:, i].any() else figure(None), "intercept": {"value": -0.2}, "bins": bins(targets[:, i], p[:, i])}
            for i, c in enumerate(classes)
        },
    }  # fmt: skip


def costs_of(classes: Sequence[str], targets: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    """Costs of 10 for every miss of the last class, with made-up intervals."""
    k = len(classes)
    costs = 1.0 - np.eye(k)
    costs[-1, :-1] = 10
    truth, decided, usual = targets.argmax(1), (p @ costs).argmin(1), p.argmax(1)
    cells = np.zeros((k, k), int)
    np.add.at(cells, (truth, decided), 1)
    one, other = float(costs[truth, usual].mean()), float(costs[truth, decided].mean())
    return {
        "matrix": {t: dict(zip(classes, row, strict=True)) for t, row in zip(classes, costs.tolist(), strict=True)},
        "probabilities": "calibrated",
        "test": {
            "n": len(p), "unit": "samples", "units": len(p), "changed": int((decided != usual).sum()), "confusion": cells.tolist(),
            "most_probable": {"value": one, "low": one - 0.1, "high": one + 0.2, "method": "95 % BCa bootstrap over 52 groups, 1000 resamples"},
            "least_cost": {"value": other, "low": other - 0.1, "high": other + 0.2, "method": "95 % BCa bootstrap over 52 groups, 1000 resamples"},
            "difference": {"value": other - one, "low": None, "high": None, "interval_reason": "the two rules decide alike on every sample"},
            "always": {"value": 0.9, "low": 0.8, "high": 1.0, "method": "95 % BCa bootstrap over 52 groups, 1000 resamples", "decision": classes[0]},
        },
    }  # fmt: skip


def analyse(classes: Sequence[str], task: str, targets: np.ndarray, p: np.ndarray, per_class: Any) -> dict[str, Any]:
    """An analysis in the layout of ``analysis.json``."""
    drawn = {c: curves_of(targets[:, i], p[:, i]) for i, c in enumerate(classes)}
    softer = p**0.7 if task == "multilabel" else p**0.7 / (p**0.7).sum(1, keepdims=True)
    thresholds, rates = {}, {}
    for i, c in enumerate(classes):
        m, n = int(targets[:, i].sum()), int((~targets[:, i]).sum())
        hit, alarm = (int((targets[:, i] == kind)[p[:, i] >= 0.31].sum()) for kind in (True, False))
        test = {
            "sensitivity": (hit, m),
            "specificity": (n - alarm, n),
            "ppv": (hit, hit + alarm),
            "npv": (n - alarm, n - alarm + m - hit),
        }
        thresholds[c] = {
            "value": 0.31, "low": 0.22, "high": 0.47, "positives": m // 2, "negatives": n // 2,
            "trust": f"chosen from {m // 2} images of {c}: the sensitivity at it can be off by 0.12 either way",
            "expected": {"sensitivity": proportion(m // 2, max(m // 2, 1)), "specificity": proportion(n // 3, n // 2)},
            "test": {key: proportion(*pair) for key, pair in test.items()},
        }  # fmt: skip
        at = [{"prevalence": q, "ppv": figure(0.2 + q / 2), "npv": figure(0.99 - q / 4), "number_needed_to_evaluate": {"value": 1 / (0.2 + q / 2)}} for q in (0.01, 0.1, 0.5)]  # fmt: skip
        rates[c] = {"threshold": None if task == "multiclass" else 0.5, "prevalence": m / (m + n), "at": at, "lr_positive": {"value": 7.31, "low": 4.2, "high": 12.9, "method": "95 % log normal"}, "lr_negative": {"value": 0.21, "low": 0.12, "high": 0.35, "method": "95 % log normal"}}  # fmt: skip
    rows = [
        {"name": site, "n": n, "suppressed": n < 10, "macro": {} if n < 10 else {"ranking": figure(v, 0.06), "f1": figure(v - 0.1, 0.09)}}
        for site, n, v in (("women", 83, 0.91), ("men", 61, 0.87), ("not stated, or stated otherwise than the two above", 34, 0.79), ("x", 4, 0.5))
    ]  # fmt: skip
    pairs = [
        {"truth": classes[0], "predicted": classes[-1], "n": 9, "of": 40},
        {"truth": classes[-1], "predicted": classes[0], "n": 4, "of": 31},
    ]
    k = len(classes)
    return {
        **({"costs": costs_of(classes, targets, p)} if task == "multiclass" else {}),
        "curves": {kind: {c: drawn[c][kind] for c in classes} for kind in ("roc", "precision_recall")},
        "operating": {c: drawn[c]["operating"] for c in classes},
        "calibration": {
            "fit": {"method": "temperature", "parameters": {"temperature": 1.43}, "fitted_on": {"part": "validation", "n": 120}, "skipped": None},
            "before": calibrated(classes, targets, p, 0.72, task), "after": calibrated(classes, targets, softer, 1.02, task),
        },
        "thresholds": {"rule": {"name": "youden", "parameters": {}}, "fitted_on": {"part": "validation", "n": 120}, "skipped": None, "per_class": thresholds},
        "clinical": {"decision_curve": {c: drawn[c]["decision"] for c in classes if drawn[c]["decision"]}, "rates": rates},
        "subgroups": {"sex": {"rows": rows, "worst": {"ranking": rows[2]["name"], "f1": rows[2]["name"]}, "gap": {"ranking": figure(0.12, 0.07), "f1": figure(0.11, 0.1)}, "note": "Subgroups with fewer than 10 images are not shown."}},
        "conformal": {
            "coverage": 0.9, "method": "class-conditional", "quantiles": dict.fromkeys(classes, 0.8), "calibrated_on": {"part": "validation", "n": 120}, "skipped": None,
            "notes": ["too few cases of one class: its sets follow the common quantile"],
            "test": {"coverage": figure(0.91), "mean_size": 1.31, "sizes": [3, 120, 40, 8] + [0] * (k - 3) if k > 3 else [3, 120, 40], "per_class": {c: figure(0.9) if per_class[c]["n"] else figure(None) for c in classes}},
        },
        "novelty": {"limits": {"energy": -3.21, "neighbours": 0.412}, "neighbours": 5, "reference": 800, "quantile": 0.99, "skipped": None, "test": {"flagged": 4, "n": len(p), "share": proportion(4, len(p)), "samples": ["site B/cat.png", "photo 17.jpg"]}},
        "mistakes": {
            "confident": [{"sample": f"{classes[0]}/img_{i}.png", "label": classes[0], "predicted": classes[-1], "probability": 0.99 - 0.02 * i} for i in range(6)],
            "label_issues": [{"sample": f"{classes[-1]}/img_{i}.png", "part": "train", "label": classes[-1], "suggested": classes[0], "probability": 0.97} for i in range(3)],
            "label_source": "From predictions of the test and validation parts, which the network did not learn from.", "pairs": pairs,
        },
    }  # fmt: skip


def invent(
    classes: tuple[str, ...] = ("benign", "malignant", "normal"),
    *,
    task: Any = "multiclass",
    absent: tuple[str, ...] = (),
    few: tuple[str, ...] = (),
    seed: int = 0,
    size: tuple[int, int] = (150, 200),
    metrics_named: int = 2,
    **changes: Any,
) -> ReportFacts:
    """Facts of a run with these classes; ``absent`` ones have no test image."""
    rng = np.random.default_rng(seed)
    counts = {c: 0 if c in absent else 4 if c in few else int(rng.integers(15, 60)) for c in classes}
    targets, p = simulate(list(counts.values()), task, seed)
    n, k = targets.shape
    names = ["f1", "ranking", *(f"further_metric_{i}" for i in range(metrics_named - 2))]
    per_class: dict[str, Any] = {c: {"n": counts[c]} for c in classes}
    for c in (c for c in classes if c in few or c in absent):
        per_class[c]["few"] = True
    for m in names:
        for c in classes:
            value = None if c in absent else float(rng.uniform(0.7, 0.99))
            per_class[c][m] = figure(value, 0.05, method="DeLong" if m == "ranking" else "BCa")
        if k == 2 and m == "ranking" and not absent:
            per_class[classes[0]][m] = per_class[classes[1]][m]
    mean = {m: float(np.mean([e[m]["value"] for e in per_class.values() if e[m]["value"] is not None])) for m in names}
    macro = {m: {**figure(v), "excluded": list(absent)} for m, v in mean.items()}
    macro |= {
        "accuracy": proportion(int(0.87 * n), n),
        "ece": figure(0.09) | {"companion": {"perfectly_calibrated": 0.053}},
        "perfect": {"value": 1.0, "low": 0.97, "high": 1.0, "method": "one-sided bound", "one_sided": True},
        "log_loss": {
            "value": 1.61,
            "low": 1.2,
            "high": 2.2,
            "method": "95 % BCa bootstrap over 52 groups, 1000 resamples",
        },
    }
    weighted, micro = {"f1": figure(mean["f1"] + 0.02)}, {"f1": figure(mean["f1"] + 0.03)}
    confusion = np.zeros((k, k), int)
    np.add.at(confusion, (targets.argmax(1), p.argmax(1)), 1)
    called = p >= 0.5
    decisions = [
        [int(((targets == t) & (called == d))[:, c].sum()) for t, d in ((1, 1), (0, 1), (1, 0), (0, 0))]
        for c in range(k)
    ]
    scores = {
        "n": n,
        "unit": "samples",
        "units": n,
        "macro": macro,
        "weighted": weighted,
        "micro": micro,
        "per_class": per_class,
        "warnings": [],
    }
    grouped = {
        "n": 52,
        "aggregate": "mean",
        "macro": {m: figure(v + 0.02, 0.05) for m, v in mean.items()},
        "per_class": per_class,
    }
    chosen = {"n": n, "macro": {m: macro[m] for m in ("ranking",)} | {"f1": figure(mean["f1"] + 0.01)}, "per_class": {}}
    cheapest = (
        {"costs": {"n": n, "macro": {"f1": figure(mean["f1"] - 0.05)}, "per_class": {}}} if task == "multiclass" else {}
    )
    history = [
        {"epoch": e, "phase": "head" if e <= 8 else "all", "loss": 0.9 * 0.93**e + 0.05, "validation_loss": 0.8 * 0.95**e + 0.12 + 0.05 * float(rng.random())}
        for e in range(1, 41)
    ]  # fmt: skip
    explained = [
        ExplainedImage(
            shown_for=c, sample=f"{c}/{c} ({17 * i + 3}).png", labels=(c,), explained=c if i % 3 else classes[(i + 1) % k],
            probability=0.93 - 0.02 * (i % 20), method="example_map", original=picture(i, *size), overlay=picture(i + 1, *size),
            low=0.0, high=0.0123, evidence=i != 1,
        )
        for i, c in enumerate(classes) if c not in absent
    ]  # fmt: skip
    values: dict[str, Any] = {
        "title": f"Classification of ultrasound images: {k} classes",
        "task": task,
        "classes": classes,
        "metrics": {"test": {**scores, "groups": grouped, "thresholds": chosen, **cheapest}},
        "analysis": analyse(classes, task, targets, p, per_class),
        "split_sizes": {"train": 4 * n, "validation": n // 2, "test": n},
        "split_counts": {"train": {c: 4 * v for c, v in counts.items()}, "validation": {c: v // 2 for c, v in counts.items()}, "test": counts},
        "independence": "Images of the same patient are never both in training and in test.",
        "independence_level": "group (given)",
        "split_notes": ("12 of 200 images of the given training part share a patient with the test part and are left out.",),
        "checks": {
            "findings": [
                {"check": "readable", "level": "ok", "text": f"all {6 * n} images can be read", "names": []},
                {"check": "reader", "level": "note", "text": "the labels are read from the column 'diagnosis' (guessed)", "names": []},
                {"check": "classes", "level": "warning", "text": "the smallest class has 9 images", "names": []},
            ],
            "skipped": [{"name": f"{classes[0]}/mask_{i}.png", "reason": "a mask by its name"} for i in range(30)]
            + [{"name": "notes.txt", "reason": "not an image file"}],
        },
        "history": history,
        "tested_epoch": 31,
        "confusion": confusion.tolist() if task == "multiclass" else None,
        "decisions": decisions if task == "multilabel" else None,
        "explanations": explained,
        "errors": [e for e in explained if e.explained not in e.labels][:4],
        "colour_scale": tuple(f"#{v:02x}{v // 2:02x}20" for v in range(0, 256, 8)),
        "readings": READINGS,
        "manifest": {"versions": {"medplug": "0.1.0", "jax": "0.10.2"}, "plugins": {"example_map": "medplug-example 0.1.0"}, "seed": 3, "device": "cpu", "started": "2025-03-01 10:20:30", "seconds": 812.3},
        "config": "[loss]\nuse = \"example\"\n\n[training]\nepochs = 40\n",
        "checklists": [
            ChecklistItem("CLAIM 2024", str(i), topic, status, value)  # type: ignore[arg-type]
            for i, (topic, status, value) in enumerate((("partitions", "filled", "by patient"), ("de-identification", "authors", ""), ("hardware", "not recorded", "")), 1)
        ],
    }  # fmt: skip
    return ReportFacts(**(values | changes))


def bare(classes: tuple[str, ...] = ("benign", "malignant", "normal"), **changes: Any) -> ReportFacts:
    """Facts of the predictions of another tool: test figures and what follows from them, nothing of training."""
    whole = invent(classes, **changes)
    analysis = {key: whole.analysis[key] for key in ("curves", "operating", "clinical", "mistakes")}
    before = {key: whole.analysis["calibration"][key] for key in ("before",)}
    skip = "no validation predictions"
    analysis |= {"calibration": {**before, "after": None, "fit": {"method": "none", "parameters": {}, "skipped": skip}}}
    analysis |= {"thresholds": {"rule": {"name": "youden", "parameters": {}}, "skipped": skip, "per_class": {}}}
    metrics = {"test": {k: v for k, v in whole.test.items() if k not in ("groups", "thresholds")}}
    return ReportFacts(
        "preds.csv: 3 classes",
        whole.task,
        classes,
        metrics,
        analysis,
        confusion=whole.confusion,
        readings=whole.readings,
    )


@pytest.fixture(name="invent")
def _invent() -> Callable[..., ReportFacts]:
    return invent


@pytest.fixture(name="bare")
def _bare() -> Callable[..., ReportFacts]:
    return bare


@pytest.fixture
def evil_names() -> tuple[str, ...]:
    return EVIL


@pytest.fixture
def findings() -> tuple[str, ...]:
    return FINDINGS
