"""The recipe ``paper``: its constants written down by hand, and what its switches do to small data.

Switches of training are tried in the core's own tests (``tests/pipeline/test_switches.py``), those of single
components in the tests beside this one.
"""

from __future__ import annotations

import csv
import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import StratifiedShuffleSplit

import medplug
from medplug.plugins.registry import registry
from medplug.testing.fakes import TinyNet
from medplug_standard.augmenters.scale import apply_scale
from medplug_standard.losses.focal import Focal
from medplug_standard.readers.folder import Folder
from medplug_standard.readers.table import Csv

# What the notebooks and AUCMEDI 0.7.1 did. Whoever adds a setting has to say here what they did about it.
SETTINGS: dict[str, dict[str, Any]] = {
    "data": {"size": 224, "mismatch": "error", "threads": 4},
    "checks": {
        "strict": False, "unreadable": "leave_out", "constant": "keep", "two_valued": "keep", "duplicates": "ignore",
        "conflicts": "keep", "near": "report", "near_correlation": 0.995, "classes": "report", "groups": "report",
        "shortcut": "report", "leaks": "report",
    },
    "split": {
        "method": "aucmedi", "train": 0.7, "validation": 0.1, "test": 0.2, "seed": 341,
        "groups": "none", "given": "pool", "file": None, "folds": 0, "fold": 1, "leave_out": None, "inner_folds": 0,
        "inner_fold": 1, "repeats": 1, "repeat": 1,
    },
    "training": {
        "head": "steps", "views": 1, "frozen_epochs": 10, "epochs": 500, "batch_size": 32, "micro_batch": None, "last_batch": "keep",
        "shuffle": "batches", "sampling": "uniform", "sampling_column": None, "augment_validation": True,
        "gradient_clip": 0.0, "layer_decay": 1.0, "ema": 0.0, "frozen_learning_rate": 1e-4, "learning_rate": 1e-5,
        "batch_norm": "batch", "early_stopping": 12, "monitor": "loss", "tested_weights": "last",
        "divergence": "stop", "explosion": 0.0,
        "plateau_patience": 5, "plateau_factor": 0.1, "plateau_min_delta": 1e-4, "plateau_minimum": 1e-7,
    },
    "evaluation": {
        "resamples": 1000, "confidence": 0.95, "calibration": "auto", "thresholds": "youden", "target": 0.9, "beta": 1.0,
        "miss_cost": 1.0, "alarm_cost": 1.0, "costs": (), "coverage": 0.9, "novelty": True, "prevalences": (0.01, 0.1, 0.5),
        "subgroups": ("all",), "aggregate": "mean",
    },
    "rendering": {
        "errors": 12, "figures": "png", "images": 1, "explained": "predicted", "every_label": True, "rectify": False, "scaling": "minmax",
        "colormap": "jet", "alpha": 0.4, "constant_alpha": True, "style": "overlay", "levels": (0.25, 0.5, 0.75), "scale": "image",
    },
    "faithfulness": {
        "methods": ("grad_cam", "hires_cam", "layer_cam", "input_x_gradient", "integrated_gradients"), "images": 32,
        "measures": (
            "deletion", "insertion", "road", "correlation", "infidelity", "max_sensitivity", "randomisation",
        ),
        "steps": 16, "costly_images": 8, "probe_images": 5000,
    },
}  # fmt: skip
PREPROCESS: dict[str, Any] = {
    "use": ["channels", "resize", "standardize"],
    "channels": {"colour": "keep"},
    "resize": {"mode": "stretch", "antialias": False, "border": "constant", "value": 0.0},
    "standardize": {"mode": "architecture", "per_channel": False},
}
AUGMENT: dict[str, Any] = {
    "use": ["flip", "rotate90", "brightness", "contrast", "saturation", "hue", "scale"],
    "flip": {"p": 0.5},
    "rotate90": {"p": 0.5},
    "brightness": {"p": 0.5, "limit": 0.1, "integer": True},
    "contrast": {"p": 0.5, "limit": 0.1, "integer": True, "about": "zero"},
    "saturation": {"p": 0.5, "limit": 0.1, "integer": True},
    "hue": {"p": 0.5, "limit": 0.1, "integer": True, "method": "hsv"},
    "scale": {"p": 0.5, "low": 1.9, "high": 2.1, "integer": True},
}
METRICS = ["roc_auc", "accuracy", "balanced_accuracy", "f1", "accuracy_ovr", "sensitivity", "specificity"]
LOSSES = {
    "multiclass": {"use": "focal", "gamma": 2.0, "alpha": "balanced", "epsilon": 1e-7},
    "multilabel": {
        "use": "multilabel_focal", "gamma": 2.0, "alpha": "balanced", "epsilon": 1e-7, "form": "published",
    },
}  # fmt: skip
EXPLAINER = {"use": "grad_cam", "score": "probability", "stage": None, "form": "auto"}


def resolved(task: str, **options: Any) -> dict[str, Any]:
    """All of the recipe as a run would write it down, names without their distribution."""
    config = medplug.Pipeline(recipe="paper", **options).config()
    kinds = ("preprocessor", "augmenter", "mixer", "loss", "optimizer", "schedule", "metric", "explainer")
    tree = config.to_tree({kind: config.make_all(kind, registry(), task) for kind in kinds})
    for section in tree.values():
        if isinstance(section, dict) and "use" in section:
            use = section["use"]
            bare = [name.rpartition(":")[2] for name in ([use] if isinstance(use, str) else use)]
            section["use"] = bare[0] if isinstance(use, str) else bare
    return tree


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_the_constants_are_those_of_the_notebooks(task: str) -> None:
    tree = resolved(task)
    settings = {name: section for name, section in tree.items() if isinstance(section, dict) and "use" not in section}
    assert settings == SETTINGS
    assert tree["preprocess"] == PREPROCESS
    assert tree["augment"] == AUGMENT
    assert tree["metric"] == {"use": METRICS}
    assert tree["loss"] == LOSSES[task]
    assert tree["optimizer"] == {"use": "adam", "b1": 0.9, "b2": 0.999, "eps": 1e-7, "nesterov": False}
    assert tree["schedule"] == {"use": "constant"}
    assert tree["mix"] == {"use": []}
    assert tree["explainer"] == EXPLAINER


def test_the_readers_take_every_file_as_pillow_reads_it() -> None:
    config = medplug.Pipeline(recipe="paper").config()
    readers = {name: config.with_uses("reader", name).make("reader", registry())[1] for name in ("folder", "csv")}
    assert readers == {
        "folder": Folder(masks="keep", extensions="all", pixels="pillow"),
        "csv": Csv(pixels="pillow"),
    }


def test_the_network_is_densenet121_with_two_linear_layers() -> None:
    """By the file alone, for the network comes with another distribution."""
    section = tomllib.loads(registry().recipe_text("paper"))["architecture"]
    assert section == {
        "use": "densenet121",
        "densenet121": {
            "weights": "imagenet", "source": "torchvision", "epsilon": 1.001e-5, "momentum": 0.99,
            "hidden": 512, "dropout": 0.3,
        },
    }  # fmt: skip


def test_the_seed_of_a_run_leaves_the_published_split_alone() -> None:
    assert resolved("multiclass", seed=5)["seed"] == 5
    assert resolved("multiclass", seed=5)["split"]["seed"] == 341
    assert resolved("multiclass", settings={"split.seed": 5})["split"]["seed"] == 5


# ---------------------------------------------------------------- single steps


# Files of each class in the training part, and the weights that the focal loss had in the published runs.
ALPHA = {
    "dermatoscopy": (
        (3165, 9013, 2326, 607, 1837, 167, 177, 440),
        (0.7003, 0.2459, 0.9529, 3.6516, 1.2066, 13.2725, 12.5226, 5.0375),
    ),
    "lower_gi": ((707, 6, 274), (0.4653, 54.8333, 1.2007)),
    "upper_gi": ((699, 535, 653), (0.8999, 1.1757, 0.9632)),
    "histopathology": ((139117, 55150), (0.6982, 1.7613)),
    "mri": ((1135, 1152, 1400, 1230), (1.0830, 1.0671, 0.8780, 0.9994)),
    "xray": ((1108, 2992), (1.8502, 0.6852)),
    "ct": ((3994, 6985, 2801), (1.1501, 0.6576, 1.6399)),
    "ultrasound": ((624, 295, 186), (0.5903, 1.2486, 1.9803)),
}


@pytest.mark.parametrize("task", ALPHA)
def test_class_weights_are_the_published_ones(task: str) -> None:
    counts, expected = (np.array(column, np.float32) for column in ALPHA[task])
    class_counts = np.stack([counts, counts.sum() - counts], 1)
    one_of_each, logits = np.eye(len(counts), dtype=np.float32), np.zeros((len(counts),) * 2, np.float32)
    weighted, plain = (np.asarray(Focal(alpha=a)(logits, one_of_each, class_counts)) for a in ("balanced", "none"))
    np.testing.assert_allclose(weighted / plain, expected, atol=6e-5)


def test_a_scaled_image_has_whole_levels() -> None:
    """Doubled, 0 100 201 254 is 0 25 75 125.25 175.75 214.25 240.75 254; the third of five windows begins at 75."""
    row = (np.array([0, 100, 201, 254]) / 255).astype(np.float32)
    images, place = jnp.asarray(np.broadcast_to(row[:, None], (2, 4, 4, 1))), jnp.array([[0.0, 0.5]] * 2)
    factor = jnp.array([2.0, 1.0])
    smooth, whole = (np.asarray(apply_scale(images, factor, place, integer)) for integer in (False, True))
    np.testing.assert_allclose(255 * smooth[0, 0, :, 0], [75, 125.25, 175.75, 214.25], atol=1e-3)
    np.testing.assert_allclose(255 * whole[0, 0, :, 0], [75, 125, 176, 214], atol=1e-3)
    np.testing.assert_array_equal(whole[1], images[1])


def test_an_image_that_is_not_scaled_keeps_its_fractions() -> None:
    """Else it would depend on its neighbours: a batch in which no image is scaled is passed through."""
    images = np.full((2, 4, 4, 1), 0.1234, np.float32)
    found = apply_scale(jnp.asarray(images), jnp.array([1.0, 2.0]), jnp.zeros((2, 2)), integer=True)
    np.testing.assert_array_equal(found[0], images[0])
    np.testing.assert_allclose(found[1], 31 / 255, rtol=1e-6)


@pytest.mark.parametrize("reader", [Folder, Csv])
def test_sixteen_bits_saturate_only_by_pillow(reader: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.fromarray(np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)).save(path)
    assert (reader(pixels="pillow").load(str(path)) == 255).mean() > 0.9
    assert len(np.unique(reader().load(str(path)))) == 48


# ---------------------------------------------------------------- from data to a report


def noise(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 14), dtype=np.uint8)).save(path, "PNG")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in given parts, with masks, a file of an odd name, and one picture in both parts and twice in one."""
    root = tmp_path_factory.mktemp("folders")
    for k, name in enumerate(("benign", "malignant")):
        for i in range(20):
            part = "test" if i % 4 == 3 else "train"
            noise(root / part / name / f"{name} ({i}).png", 100 * k + i)
            noise(root / part / name / f"{name} ({i})_mask.png", 100 * k + 50 + i)
    noise(root / "train" / "benign" / "scan.dat", 999)
    shutil.copy(root / "test" / "benign" / "benign (3).png", root / "train" / "benign" / "copy.png")
    shutil.copy(root / "train" / "malignant" / "malignant (0).png", root / "train" / "malignant" / "copy.png")
    return root


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``fit(recipe, data)``: a run of one short epoch with a tiny network."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MEDPLUG_CACHE", str(tmp_path_factory.mktemp("cache")))

    def run(recipe: str, data: Path, **settings: Any) -> medplug.Run:
        options = {"training.epochs": 1, "training.frozen_epochs": 0, "evaluation.resamples": 50, "data.size": 16}
        pipeline = medplug.Pipeline(
            recipe=recipe, architecture=TinyNet(channels=3), augmenters=[], settings={**options, **settings}
        )
        return pipeline.fit(str(data), out=tmp_path_factory.mktemp("runs") / "run")

    yield run
    patch.undo()


def parts_of(run: medplug.Run) -> dict[str, str]:
    with (run.folder / "split.csv").open(newline="") as stream:
        return {row["sample"]: row["split"] for row in csv.DictReader(stream)}


def published_split(class_index: np.ndarray) -> list[np.ndarray]:
    """AUCMEDI's sampling_split at 0.7, 0.1, 0.2: parts are peeled off, classes stand in reversed order."""
    y = class_index.max() - class_index
    rest, parts = np.arange(len(y)), []
    for share in (0.7, 0.1 / (1 - 0.7)):
        splitter = StratifiedShuffleSplit(n_splits=1, random_state=341, train_size=1 - share, test_size=share)
        keep, taken = next(splitter.split(rest, y[rest]))
        parts.append(rest[taken])
        rest = rest[keep]
    return [*parts, rest]


def test_folders_as_published(fit: Any, folders: Path) -> None:
    """Masks and odd files are samples, given parts are merged, copies go where chance puts them."""
    parts = parts_of(fit("paper", folders))
    files = [p for p in folders.rglob("*") if p.is_file()]
    merged = sorted(files, key=lambda p: (p.parent.name, p.name))  # one folder per class, sorted file names
    names = [p.relative_to(folders).as_posix() for p in merged]
    assert len(names) == 83
    rows = published_split(np.array([p.parent.name == "malignant" for p in merged], int))
    expected = {names[i]: part for part, some in zip(("train", "validation", "test"), rows, strict=True) for i in some}
    assert parts == expected


def test_folders_by_the_standard(fit: Any, folders: Path) -> None:
    """Neither masks nor odd files; the given test part stays, and the copy of one of its pictures leaves training."""
    parts = parts_of(fit("standard", folders))
    kept = {name: part for name, part in parts.items() if part}
    assert not any("_mask" in name or name.endswith(".dat") for name in parts)
    assert {name for name, part in kept.items() if part == "test"} == {n for n in parts if n.startswith("test/")}
    assert parts["train/benign/copy.png"] == ""
    assert kept["train/malignant/copy.png"] == kept["train/malignant/malignant (0).png"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three labels, and four images of each patient."""
    root = tmp_path_factory.mktemp("table")
    labels = np.random.default_rng(0).random((80, 3)) < 0.4
    lines = ["image,cyst,mass,shadow,patient"]
    for i, row in enumerate(labels):
        noise(root / "images" / f"{i:03d}.png", i)
        lines.append(f"{i:03d}.png,{','.join(map(str, row.astype(int)))},P{i // 4}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root / "labels.csv"


def test_a_table_of_labels_as_published(fit: Any, table: Path) -> None:
    """Patients are torn apart, the loss is AUCMEDI's, and every label is explained in the same image."""
    run = fit("paper", table, **{"reader.label_column": "cyst,mass,shadow"})
    assert run.task == "multilabel"
    assert sorted(parts_of(run).values()) == ["test"] * 16 + ["train"] * 56 + ["validation"] * 8
    shared = json.loads((run.folder / "checks.json").read_text())["shared_between_parts"]
    assert shared["patient"] > 0
    explained = json.loads((run.folder / "explanations" / "explanations.json").read_text())
    assert [e["explained"] for e in explained] == ["cyst", "mass", "shadow"]
    assert len({e["sample"] for e in explained}) == 1
    written = tomllib.loads((run.folder / "config.toml").read_text())
    assert written["loss"]["form"] == "published"
    assert written["explainer"]["score"] == "probability"
