"""``medplug run --architecture densenet121 --set architecture.weights=FILE`` at 64 pixels, from every format of file.

The weights are random and of full size, with ImageNet's head of 1000 classes. After an epoch in which only the head
learns, the backbone that the run has saved must still be that of the file, to the bit.
"""

from __future__ import annotations

import csv
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from densenet_seeded import seeded

from medplug_densenet.convert import entries
from medplug_densenet.plan import DENSENET121

pytestmark = pytest.mark.slow

pytest.importorskip("medplug_standard")
CLASSES = 1000
TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
FROZEN = {
    "reader.size": 64,
    "training.epochs": 1,
    "training.frozen_epochs": 1,
    "training.batch_size": 8,
    "training.micro_batch": 8,
    "evaluation.resamples": 50,
    "augment.use": "horizontal_flip",
}


def forge() -> ModuleType:
    """The writer of PyTorch's formats that the core's tests use."""
    path = Path(__file__).parents[3] / "tests" / "weights" / "torch_forge.py"
    spec = importlib.util.spec_from_file_location("densenet_torch_forge", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def old_spelling(name: str) -> str:
    return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name)


@pytest.fixture(scope="module")
def arrays() -> dict[str, tuple[str, np.ndarray]]:
    """Random weights in the network's own layout by path, with torchvision's name of each."""
    found = {}
    for entry in entries(DENSENET121, 3, CLASSES):
        axes = TO_TORCH[len(entry.shape)]
        values = seeded(entry.torch, tuple(entry.shape[i] for i in axes))
        found[entry.path] = entry.torch, np.ascontiguousarray(values.transpose(np.argsort(axes)))
    return found


def torch_dict(arrays: dict[str, tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(a.transpose(TO_TORCH[a.ndim])) for name, a in arrays.values()}


def write_pth(path: Path, arrays: dict[str, np.ndarray], kind: str, old: bool) -> None:
    """A state dict as ``torch.save`` writes it, counters of batch norm included where the spelling is new."""
    make = forge()
    saved, storages = {}, {}

    def put(name: str, array: np.ndarray, storage: str) -> None:
        key = str(len(storages))
        strides = tuple(s // array.itemsize for s in array.strides)
        saved[name] = make.tensor(make.storage(storage, key, array.size), 0, array.shape, strides)
        storages[key] = array.size, array.tobytes()

    for name, array in arrays.items():
        put(old_spelling(name) if old else name, array, "FloatStorage")
        if not old and name.endswith("running_var"):
            put(name.replace("running_var", "num_batches_tracked"), np.array([7], "<i8"), "LongStorage")
    path.write_bytes(make.forge(kind, saved, storages))


@dataclass
class Place:
    """A scratch folder, and the command line in this process."""

    folder: Path
    run: Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One cache of decoded phantoms for all runs of this file."""
    from medplug.cli.main import main

    folder = tmp_path_factory.mktemp("densenet")

    def run(weights: Path, out: Path, capsys: pytest.CaptureFixture[str], **settings: Any) -> str:
        chosen = {**FROZEN, "architecture.weights": weights, **settings}
        words = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
        capsys.readouterr()
        arguments = ["run", "phantoms:30", "--out", str(out), "--architecture", "densenet121", "--size", "64"]
        code = main([*arguments, *words])
        told = capsys.readouterr().err
        assert code == 0, told
        return told

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_CACHE", str(folder / "cache"))
        yield Place(folder, run)


def check_backbone(out: Path, expected: dict[str, np.ndarray], told: str) -> None:
    """What the run saved is the file's backbone with a new head of three classes."""
    from safetensors.numpy import load_file

    assert "building medplug-densenet:densenet121 for an input of 64 x 64 x 3" in told
    assert "of pretrained weights; new: head/output/bias, head/output/kernel" in told
    saved = load_file(out / "weights.safetensors")
    assert saved.keys() == expected.keys()
    assert saved["head/output/kernel"].shape == (DENSENET121.features, 3)
    for path, array in expected.items():
        if not path.startswith("head/"):
            np.testing.assert_array_equal(saved[path], array, err_msg=path)


@pytest.mark.parametrize("spelling", ["old", "new"])
@pytest.mark.parametrize("kind", ["legacy", "zip"])
def test_torchvision(kind: str, spelling: str, place: Place, arrays: Any, capsys: Any) -> None:
    file, out = place.folder / f"{kind}-{spelling}.pth", place.folder / f"run-{kind}-{spelling}"
    write_pth(file, torch_dict(arrays), kind, spelling == "old")
    told = place.run(file, out, capsys)
    check_backbone(out, {path: array for path, (_, array) in arrays.items()}, told)


def test_timm(place: Place, arrays: Any, capsys: Any) -> None:
    from safetensors.numpy import save_file

    file, out = place.folder / "model.safetensors", place.folder / "run-timm"
    save_file(torch_dict(arrays), file)
    told = place.run(file, out, capsys)
    check_backbone(out, {path: array for path, (_, array) in arrays.items()}, told)


@pytest.mark.parametrize("name", ["densenet.h5", "densenet.weights.h5"])
def test_keras(name: str, place: Place, capsys: Any) -> None:
    import medplug

    keras = pytest.importorskip("keras")
    model = keras.applications.DenseNet121(weights=None, input_shape=(64, 64, 3), classes=CLASSES)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    file, out = place.folder / name, place.folder / f"run-{name}"
    (model.save_weights if name.endswith(".weights.h5") else model.save)(file)
    values = {
        f"{layer.name}/{v.name}": keras.ops.convert_to_numpy(v) for layer in model.layers for v in layer.variables
    }
    told = place.run(file, out, capsys)
    check_backbone(out, {entry.path: values[entry.keras] for entry in entries(DENSENET121, 3, CLASSES)}, told)
    file.unlink()
    norms = [n for _, n in _modules(medplug.load_run(out).network.module) if hasattr(n, "use_running_average")]
    assert {norm.epsilon for norm in norms} == {1.001e-5}  # Keras' own, also where its file is gone


def _modules(module: Any) -> Iterator[tuple[Any, Any]]:
    from flax import nnx

    return nnx.iter_modules(module)


def test_both_phases_then_predict_and_explain_without_the_weights_file(place: Place, arrays: Any, capsys: Any) -> None:
    """The whole way once: all layers learn, and the run folder alone is enough afterwards."""
    from PIL import Image
    from safetensors.numpy import load_file, save_file

    from medplug import load_run
    from medplug.cli.main import main

    file, out = place.folder / "whole.safetensors", place.folder / "run-whole"
    save_file(torch_dict(arrays), file)
    told = place.run(file, out, capsys, **{"training.epochs": 2, "training.tested_weights": "last"})
    assert "frozen   1/1" in told
    assert "full   2/2" in told
    file.unlink()
    saved = load_file(out / "weights.safetensors")
    assert not np.array_equal(saved["stem/conv/kernel"], arrays["stem/conv/kernel"][1])
    with (out / "predictions.csv").open(newline="") as stream:
        stored = list(csv.DictReader(stream))
    assert len(stored) == 6
    run = load_run(out)
    reader = run._run_reader()
    index = reader.index("30")
    images = [reader.load(index.uris[index.samples.index(row["sample"])]) for row in stored]
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(place.folder / f"test{number}.png")
    files = [str(place.folder / f"test{number}.png") for number in range(len(images))]
    capsys.readouterr()
    assert main(["predict", str(out), *files]) == 0
    predicted = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    for before, after in zip(stored, predicted, strict=True):
        for name in run.classes:
            assert float(after[name]) == pytest.approx(float(before[name]), abs=1e-5)
    assert main(["explain", str(out), *files[:2], "--out", str(place.folder / "maps")]) == 0
    assert len(list((place.folder / "maps").glob("*.png"))) == 2
    assert set(run.metrics["test"]["per_class"]) == {"benign", "malignant", "normal"}
    assert (out / "report.html").stat().st_size > 10_000


def test_a_file_that_does_not_fit_ends_the_run_at_once(place: Place, arrays: Any, capsys: Any) -> None:
    from safetensors.numpy import save_file

    from medplug.cli.main import main

    file, names = place.folder / "other.safetensors", torch_dict(arrays)
    del names["features.norm5.bias"]
    save_file(names | {"features.extra": np.zeros(2, np.float32)}, file)
    out = place.folder / "run-other"
    command = ["run", "phantoms:30", "--out", str(out), "--architecture", "densenet121", "--size", "64"]
    assert main([*command, "--set", f"architecture.weights={file}"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("medplug: error: ")
    assert "missing (1): features.norm5.bias; surplus (1): features.extra" in told[-1]
    assert not out.exists()
