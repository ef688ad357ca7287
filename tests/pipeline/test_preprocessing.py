"""Preprocessing in whole runs: it travels with the network, maps lie right, and what does not fit is told before training."""

import json
import sys
import tomllib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import medplug
from medplug.errors import RunError, UsageError
from medplug.evaluation.tables import read_predictions
from medplug.images import ImageError
from medplug.plugins import Component, component, param, resize
from medplug.progress import Reporter
from medplug.testing.fakes import Memory, fake_registry

SHORT = {"training.epochs": 1, "training.frozen_epochs": 0, "reader.size": 40, "data.size": 16}


@component
class Window:
    """Keeps images 8 pixels larger; in training a part at random, else the middle; then doubles the contrast."""

    kind = "preprocessor"
    stage = "batch"

    gain: float = param("factor", default=2.0, gt=0)

    def input_size(self, size):
        return size + 8

    def __call__(self, images, target, key=None):
        starts = jnp.full(len(images), 4) if key is None else jax.random.randint(key, (len(images),), 0, 9)
        cut = lambda x, s: jax.lax.dynamic_slice(x, (s, s, 0), (target.size, target.size, x.shape[-1]))  # noqa: E731
        return target.standardise(jax.vmap(cut)(images, starts)) * self.gain

    def region(self, shape, target):
        return tuple((4, n - 4) for n in shape[:-1])


@component
class TopHalf:
    """The upper half of an image."""

    kind = "preprocessor"
    stage = "image"

    def __call__(self, pixels, target):
        return pixels[: len(pixels) // 2].copy()

    def region(self, shape, target):
        return (0, shape[0] // 2), (0, shape[1])


def with_own():
    registry = fake_registry()
    for name, cls in (("window", Window), ("top_half", TopHalf)):
        registry.add(Component("preprocessor", name, f"{cls.__module__}:{cls.__qualname__}", "own"), "own-steps", "1")
    return registry


@pytest.fixture(autouse=True, scope="module")
def _importable():
    """Records name classes by module, and pytest imports this file under a name that is no module's."""
    module = types.ModuleType(__name__)
    module.__dict__.update(Window=Window, TopHalf=TopHalf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, __name__, sys.modules.get(__name__, module))
        yield


def short_run(registry, out, **options):
    settings = {**SHORT, "evaluation.resamples": 50, **options.pop("settings", {})}
    quiet = Reporter(quiet=True)
    return medplug.Pipeline(recipe="fake", settings=settings, plugins=registry, reporter=quiet, **options).fit(
        "memory", out=out
    )


@pytest.fixture
def fit(tmp_path):
    """``fit(registry, **options)``: a short run of the fakes."""

    def run(registry, out="run", **options):
        return short_run(registry, tmp_path / out, **options)

    return run


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    """A run whose network sees the middle of the upper half."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_CACHE", str(tmp_path_factory.mktemp("cache")))
        settings = {"preprocess.use": "top_half, fit, window", "preprocess.window.gain": "3"}
        return short_run(with_own(), tmp_path_factory.mktemp("runs") / "run", settings=settings)


def raw_images(run, count=4):
    reader = run._run_reader()
    index = reader.index("memory")
    names = run.predictions("test").samples[:count]
    return [reader.load(index.uris[index.samples.index(name)]) for name in names]


def test_it_travels_with_the_network(windowed):
    run = windowed
    stored = json.loads((run.folder / "model.json").read_text())
    assert stored["preprocessors"] == [
        {"use": "own-steps:top_half", "parameters": {}},
        {"use": "fakes:fit", "parameters": {"antialias": True}},
        {"use": "own-steps:window", "parameters": {"gain": 3.0}},
    ]
    assert stored["preprocessing"] == {"size": 16, "channels": 1, "mean": [0.5], "std": [0.25], "per_image": False}
    config = tomllib.loads((run.folder / "config.toml").read_text())
    assert config["preprocess"]["use"] == ["own-steps:top_half", "fakes:fit", "own-steps:window"]
    assert config["preprocess"]["window"] == {"gain": 3.0}
    assert run.card.input_shape == (16, 16, 1)
    assert run.preprocessors.decode.size == 24

    opened = medplug.load_run(run.folder, plugins=with_own())
    images, stored_p = raw_images(run), run.predictions("test").probabilities[:4]
    np.testing.assert_allclose(opened.predict(images).probabilities, stored_p, atol=1e-6)
    # the file of the network decides, not the configuration: predict cannot differ from training
    (run.folder / "config.toml").write_text(
        (run.folder / "config.toml").read_text().replace("gain = 3.0", "gain = 1.0")
    )
    again = medplug.load_run(run.folder, plugins=with_own())
    np.testing.assert_array_equal(again.predict(images).probabilities, opened.predict(images).probabilities)


def test_by_hand(windowed):
    """What the network is given, computed here."""
    [image] = raw_images(windowed, 1)
    pixels = resize(image[:20], 24)[4:20, 4:20].astype(np.float32) / 255
    logits = np.asarray(windowed.network(jnp.asarray((pixels[None] - 0.5) / 0.25 * 3)), np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(windowed.predict([image]).probabilities, expected, atol=1e-5)


def test_other_data_is_prepared_alike(windowed, tmp_path):
    windowed.evaluate("memory", out=tmp_path / "elsewhere")
    found, test = read_predictions(tmp_path / "elsewhere" / "predictions.csv"), windowed.predictions("test")
    for name, p in zip(test.samples, test.probabilities, strict=True):
        row = next(i for i, sample in enumerate(found.samples) if sample.endswith(name))
        np.testing.assert_allclose(found.probabilities[row], p, atol=1e-5)


def test_random_parts_are_for_training_alone(fit):
    run = fit(with_own(), settings={"preprocess.use": "fit, window"})
    images = raw_images(run)
    np.testing.assert_array_equal(run.predict(images).probabilities, run.predict(images).probabilities)
    middle = fit(with_own(), out="middle", settings={"preprocess.use": "fit, window"})
    assert middle.history[0]["loss"] == run.history[0]["loss"]  # by the seed
    fixed = fit(fake_registry(), out="fixed", preprocessors=["fit", OnlyMiddle()])
    assert fixed.history[0]["loss"] != run.history[0]["loss"]


class OnlyMiddle:
    """The window without chance."""

    stage = "batch"

    def input_size(self, size):
        return size + 8

    def region(self, shape, target):
        return tuple((4, n - 4) for n in shape[:-1])

    def __call__(self, images, target, key=None):
        return Window()(images, target)


def test_instances_of_ones_own(fit):
    run = fit(fake_registry(), preprocessors=["fit", OnlyMiddle()])
    images = raw_images(run)
    expected = run.predict(images).probabilities
    with pytest.raises(
        RunError, match=r"your own OnlyMiddle; pass it: load_run\(path, preprocessors=\[OnlyMiddle\(\.\.\.\)\]\)"
    ):
        medplug.load_run(run.folder, plugins=fake_registry()).predict(images)
    opened = medplug.load_run(run.folder, preprocessors=[OnlyMiddle()], plugins=fake_registry())
    np.testing.assert_array_equal(opened.predict(images).probabilities, expected)


def test_a_missing_package_is_named(windowed):
    registry = fake_registry()
    with pytest.raises(
        RunError, match="preprocessor top_half of own-steps, which is not installed here: pip install own-steps"
    ):
        medplug.load_run(windowed.folder, plugins=registry).predict(raw_images(windowed))
    older = fake_registry()
    older.add(Component("preprocessor", "other", "x:Y", "another"), "own-steps", "0")
    with pytest.raises(RunError, match="pip install --upgrade own-steps"):
        medplug.load_run(windowed.folder, plugins=older).predict(raw_images(windowed))


def test_a_missing_file_is_named(fit, tmp_path):
    from medplug.plugins.localfile import add_file

    path = tmp_path / "my_steps.py"
    path.write_text(
        "from medplug.plugins import component\n\n\n@component\nclass Plain:\n    '''Standardises.'''\n\n"
        "    kind, stage = 'preprocessor', 'batch'\n\n    def __call__(self, images, target, key=None):\n"
        "        return target.standardise(images)\n"
    )
    registry = fake_registry()
    add_file(registry, path)
    run = fit(registry, settings={"preprocess.use": "fit, plain"})
    with pytest.raises(RunError, match=r"not installed here: add --plugin my_steps\.py"):
        medplug.load_run(run.folder, plugins=fake_registry()).predict(raw_images(run))


# ---------------------------------------------------------------- what maps are drawn on


def test_maps_are_drawn_on_what_the_network_saw(windowed, tmp_path):
    """Images of 40 pixels: their upper half, of which the middle 16 of 24 parts are seen."""
    run = windowed
    listing = json.loads((run.folder / "explanations" / "explanations.json").read_text())
    reader = run._run_reader()
    index = reader.index("memory")
    for entry in listing:
        original = reader.load(index.uris[index.samples.index(entry["sample"])])
        with np.load(run.folder / "explanations" / entry["raw"]) as arrays:
            assert arrays["map"].shape == (16, 16)
            np.testing.assert_array_equal(arrays["image"], original[3:17, 7:33])  # 20 * 4 / 24 = 3.3, 40 * 4 / 24 = 6.7
    again = run.explain(out=tmp_path / "again")
    assert [e.sample for e in again] == [e["sample"] for e in listing]
    of_image = run.explain(raw_images(run, 1), out=tmp_path / "one")
    assert len(of_image) == 1


# ---------------------------------------------------------------- what does not fit


def test_images_of_another_size_are_told_before_training(fit):
    with pytest.raises(
        UsageError, match=r"image0000\.png|: 40 x 40 x 1 without any preprocessing, but the network takes 16 x 16 x 1"
    ):
        fit(fake_registry(), preprocessors=[])
    run = fit(fake_registry(), preprocessors=["shift"], settings={"reader.size": 16})  # none is needed where all fit
    assert run.card.preprocessors == ({"use": "fakes:shift", "parameters": {}},)


def test_weights_in_another_range_are_told_before_training(fit):
    settings = {"architecture.weights": "fixed"}
    with pytest.raises(UsageError, match="trained with values from -2 to 2.*data.mismatch=warn"):
        fit(fake_registry(), preprocessors=["fit"], settings=settings)
    fit(fake_registry(), preprocessors=["fit"], settings={**settings, "data.mismatch": "warn"})


def test_a_network_without_weights_takes_any_range(fit):
    run = fit(fake_registry(), preprocessors=["fit"])
    assert [p["use"] for p in run.card.preprocessors] == ["fakes:fit"]


class TooDark:
    """Refuses images whose first pixel is dark."""

    stage = "image"

    def __call__(self, pixels, target):
        if pixels[0, 0, 0] < 20:
            raise ImageError("is too dark")
        return pixels


def test_refused_images_are_left_out_with_their_reason(fit):
    run = fit(fake_registry(), preprocessors=[TooDark(), "fit", "shift"], settings={"reader.samples": 120})
    skipped = json.loads((run.folder / "checks.json").read_text())["skipped"]
    assert 0 < len(skipped) < 60
    assert {entry["reason"] for entry in skipped} == {"is too dark"}
    dark, light = np.zeros((40, 40, 1), np.uint8), np.full((40, 40, 1), 99, np.uint8)
    assert run.predict([dark, light]).samples == ("1",)
    assert [(s.name, s.reason) for s in run.skipped] == [("0", "is too dark")]


def test_another_preprocessor_is_another_cache(fit, monkeypatch):
    loads, original = [], Memory.load
    monkeypatch.setattr(Memory, "load", lambda self, uri: loads.append(uri) or original(self, uri))
    registry = with_own()
    counts = []
    for out, use in (("a", "fit, shift"), ("b", "fit, shift"), ("c", "top_half, fit, shift"), ("d", "fit, window")):
        before = len(loads)
        fit(registry, out=out, settings={"preprocess.use": use})
        counts.append(len(loads) - before)
    assert counts[0] >= 60
    assert counts[1] < 60
    assert min(counts[2:]) >= 60


def test_without_any_registry_a_name_is_refused(fit):
    with pytest.raises(
        medplug.errors.UnknownComponentError, match="no preprocessor named 'fitt' is installed; nearest: fit"
    ):
        fit(fake_registry(), preprocessors=["fitt"])
