"""The components: parameters, constants by source, building, and where weights come from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from densenet_seeded import seeded
from flax import nnx

from medplug.plugins import ParameterError, WeightsError, component
from medplug_densenet.architecture import DenseNet121, DenseNet169, DenseNet201, DenseNetArchitecture
from medplug_densenet.plan import DENSENET121, DENSENET169, DENSENET201, Plan
from medplug_densenet.plugin import medplug_components

HERE = Path(__file__).parent
FILE = HERE / "tiny_zip.pth"
SHAPE = (32, 48, 3)


@component
class Tiny(DenseNetArchitecture):
    """What the small weights files beside this test fit."""

    plan = Plan(blocks=(1, 1, 1, 1), growth=4, stem=8)


def paths(module: nnx.Module) -> dict[str, tuple[int, ...]]:
    return {"/".join(path): variable[...].shape for path, variable in nnx.to_flat_state(nnx.state(module))}


def test_records_name_the_components() -> None:
    records = list(medplug_components())
    assert [record.key for record in records] == [f"architecture/densenet{n}" for n in (121, 169, 201)]
    assert not any(record.errors() for record in records)
    for record, cls in zip(records, (DenseNet121, DenseNet169, DenseNet201), strict=True):
        assert record.target == f"{cls.__module__}:{cls.__qualname__}"


def test_importing_the_components_loads_nothing_heavy() -> None:
    code = (
        "import sys, medplug_densenet.plugin, medplug_densenet.architecture as a; a.DenseNet121().norms(); "
        "print([m for m in ('jax', 'flax', 'numpy', 'h5py') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1e-5, 0.9, True)),
        ({"weights": None}, (1e-5, 0.9, True)),
        ({"weights": "a/model.safetensors"}, (1e-5, 0.9, True)),
        ({"weights": "a/old.H5"}, (1.001e-5, 0.99, False)),
        ({"weights": "a/new.weights.h5"}, (1.001e-5, 0.99, False)),
        ({"source": "keras"}, (1.001e-5, 0.99, False)),
        ({"weights": "a/new.weights.h5", "source": "torchvision"}, (1e-5, 0.9, True)),
        ({"source": "keras", "epsilon": 1e-3, "momentum": 0.5}, (1e-3, 0.5, False)),
    ],
)
def test_constants_of_batch_norm_follow_the_source(options: dict, expected: tuple) -> None:
    architecture = Tiny(**options)
    assert tuple(architecture.norms()) == expected
    net = architecture.build(SHAPE, 2, rngs=nnx.Rngs(0))
    norms = [module for _, module in nnx.iter_modules(net) if hasattr(module, "use_running_average")]
    assert len(norms) == 13
    assert {(norm.epsilon, norm.momentum, norm.unbiased) for norm in norms} == {expected}


def test_weights_fit_what_is_built() -> None:
    for channels, classes in ((3, 3), (1, 3), (3, 5)):
        architecture = Tiny(weights=str(FILE))
        shape = (*SHAPE[:2], channels)
        built = paths(architecture.build(shape, classes, rngs=nnx.Rngs(0)))
        weights = architecture.pretrained(shape, classes)
        head = {path for path in built if path.startswith("head/")}
        assert weights.keys() == (built.keys() if classes == 3 else built.keys() - head)
        assert all(weights[path].shape == built[path] for path in weights)
    kernel = seeded("features.transition1.conv.weight", (6, 12, 1, 1))
    assert np.array_equal(weights["transition1/conv/kernel"], kernel.transpose(2, 3, 1, 0))


def test_a_hidden_layer_never_gets_the_output_of_the_file() -> None:
    """Even where its shape would fit: eight features, eight hidden units, three classes."""
    architecture = Tiny(weights=str(FILE), hidden=Tiny.plan.features, dropout=0.3)
    built = paths(architecture.build(SHAPE, 3, rngs=nnx.Rngs(0)))
    weights = architecture.pretrained(SHAPE, 3)
    assert not any(path.startswith("head/") for path in weights)
    assert weights.keys() < built.keys()
    assert architecture.head == ("head",)


def test_no_weights() -> None:
    assert Tiny(weights=None).pretrained(SHAPE, 3) == {}


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(WeightsError, match=r"no weights file imagnet; weights is 'imagenet', the path"):
        Tiny(weights="imagnet").pretrained(SHAPE, 3)


def test_a_file_of_another_architecture() -> None:
    with pytest.raises(WeightsError, match=r"does not fit a DenseNet with blocks \(6, 12, 24, 16\); missing \(\d+\)"):
        DenseNet121(weights=str(FILE)).pretrained(SHAPE, 3)


def test_a_torch_file_with_keras_ending_needs_a_source(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(FILE.read_bytes())
    with pytest.raises(WeightsError, match="set source"):
        Tiny(weights=str(path)).pretrained(SHAPE, 3)
    assert Tiny(weights=str(path), source="torchvision").pretrained(SHAPE, 3)


@pytest.mark.parametrize("shape", [(64, 64, 64, 1), (64, 3), (31, 64, 3)])
def test_images_that_do_not_fit(shape: tuple) -> None:
    with pytest.raises(ParameterError):
        Tiny(weights=None).build(shape, 2, rngs=nnx.Rngs(0))


def test_downloads_carry_the_digits_of_the_published_names() -> None:
    for architecture, digits in ((DenseNet121(), "a639ec97"), (DenseNet169(), "b2777c0a"), (DenseNet201(), "c1103571")):
        download = architecture.download()
        assert download.sha256 == digits
        assert download.url.startswith("https://download.pytorch.org/models/densenet")
        assert download.url.endswith(f"-{digits}.pth")
        assert download.licence == "BSD-3-Clause"
    assert (DenseNet121.plan, DenseNet169.plan, DenseNet201.plan) == (DENSENET121, DENSENET169, DENSENET201)


def test_imagenet_weights_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses the connection stands for the missing network."""
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"weights=PATH.*weights=None.*architecture whose weights are installed"):
        DenseNet121().pretrained(SHAPE, 3)


def test_imagenet_weights_come_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small file under the name and hash that its bytes have."""
    import hashlib

    digits = hashlib.sha256(FILE.read_bytes()).hexdigest()[:8]
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path))
    monkeypatch.setattr(Tiny, "published", f"tiny-{digits}.pth")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / f"tiny-{digits}.pth").write_bytes(FILE.read_bytes())
    assert len(Tiny().pretrained(SHAPE, 3)) == len(Tiny(weights=str(FILE)).pretrained(SHAPE, 3)) == 66
