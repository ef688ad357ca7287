"""Preprocessors of batches within the compiled network, and the comparison with what the weights were trained with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.contracts.architecture import Preprocessing
from medplug.data.preprocess import Preprocessors
from medplug.errors import ContractError, ParameterError, UsageError
from medplug.model.apply import outputs_function
from medplug.model.explain import explain_function
from medplug.model.network import build
from medplug.model.preprocess import check_match, mismatch, prepare
from medplug.testing.fakes import InputGradient, Shift, TinyNet

IMAGENET = Preprocessing(size=8)


class Apply:
    """A batch preprocessor that calls a function."""

    stage = "batch"

    def __init__(self, function):
        self.function = function

    def __call__(self, images, target, key=None):
        return self.function(images, target, key)


def chain(*functions, target=IMAGENET):
    return Preprocessors(tuple(("x:own", Apply(f)) for f in functions), target)


def shifted(images, target, key):
    return target.standardise(images)


# ---------------------------------------------------------------- the statement of an architecture


def test_standardising_by_hand():
    images = np.array([[[[0.485, 0.0, 1.0]]]], np.float32)
    expected = [[0.0, -0.456 / 0.224, (1 - 0.406) / 0.225]]
    np.testing.assert_allclose(np.asarray(IMAGENET.standardise(images))[0, 0], expected, atol=1e-6)


def test_standardising_each_image_by_itself(rng):
    images = jnp.asarray(rng.random((3, 5, 6, 2)), jnp.float32) * jnp.array([1.0, 0.3, 0.0]).reshape(3, 1, 1, 1)
    found = np.asarray(Preprocessing(channels=2, per_image=True).standardise(images))
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2, 3)), [1, 1, 0], atol=1e-4)  # an image of one colour stays at 0


def test_an_architecture_of_z_scores_needs_no_mean():
    class Own:
        preprocessing = Preprocessing(16, 1, per_image=True)
        head = ("head",)
        build = TinyNet().build
        pretrained = TinyNet().pretrained

    network = build(Own(), (16, 16, 1), 2, seed=0)
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_allclose(network.standardise(image).std(), 1, atol=1e-4)


# ---------------------------------------------------------------- applying


def test_outside_of_a_run_images_are_standardised_as_stated(rng):
    images = jnp.asarray(rng.random((2, 8, 8, 3)), jnp.float32)
    np.testing.assert_array_equal(prepare(images, None, IMAGENET), IMAGENET.standardise(images))


def test_a_key_reaches_each_preprocessor_and_differs(rng):
    seen = []

    def watch(images, target, key):
        seen.append(None if key is None else jax.random.key_data(key).tolist())
        return images

    steps = Preprocessors((("a:w", Apply(watch)), ("b:w", Apply(watch))), IMAGENET).batch
    images = jnp.zeros((1, 8, 8, 3))
    prepare(images, steps, IMAGENET)
    prepare(images, steps, IMAGENET, jax.random.key(0))
    assert seen[:2] == [None, None]
    assert seen[2] != seen[3]


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (
            lambda x, t, k: x[:1],
            ContractError,
            r"as many float32 images as it gets: \[2, 8, 8, 3\] became float32 \[1, 8",
        ),
        (lambda x, t, k: x.astype(jnp.int32), ContractError, "became int32"),
        (lambda x, t, k: None, ContractError, "became NoneType"),
        (lambda x, t, k: x + jnp.zeros(5), ContractError, r"x:own failed on a batch \[2, 8, 8, 3\]: \w*Error"),
        (lambda x, t, k: x[:, 1:], UsageError, "the network takes 8 x 8 x 3, but gets 7 x 8 x 3 after x:own"),
        (lambda x, t, k: x[..., :1], UsageError, "but gets 8 x 8 x 1"),
    ],
)
def test_what_does_not_fit_is_named(function, error, words):
    with pytest.raises(error, match=words):
        prepare(jnp.zeros((2, 8, 8, 3)), chain(function).batch, IMAGENET)


def test_a_refusal_is_passed_on():
    def refuse(images, target, key):
        raise ParameterError("needs three channels")

    with pytest.raises(ParameterError, match="needs three channels"):
        prepare(jnp.zeros((2, 8, 8, 3)), chain(refuse).batch, IMAGENET)


def test_predictions_and_maps_see_what_the_network_was_trained_on(rng):
    """A run whose preprocessor inverts is a run on inverted images."""
    inverted = Preprocessors((("x:own", Apply(lambda x, t, k: t.standardise(1 - x))),), TinyNet().preprocessing)
    plain = Preprocessors((("x:shift", Shift()),), TinyNet().preprocessing)
    network = build(TinyNet(), (16, 16, 1), 3, seed=0)
    images = rng.integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
    for function, tolerance in ((lambda n, x: outputs_function(n, "multiclass")(x)[0], 1e-6), (_map, 1e-5)):
        one, two = function(network.within(inverted), images), function(network.within(plain), 255 - images)
        np.testing.assert_allclose(one, two, atol=tolerance)
    assert not np.allclose(_map(network.within(plain), images), _map(network.within(inverted), images))


def _map(network, images):
    classes = np.zeros((len(images), 1), np.int32)
    explain = explain_function(network, InputGradient(), "multiclass")
    return np.asarray(explain(images, classes, jax.random.split(jax.random.key(0), len(images))))


# ---------------------------------------------------------------- the range


KERAS = Preprocessing(8, 3, (0.0,) * 3, (1 / 255,) * 3)
CAFFE = Preprocessing(8, 3, (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3)
SYMMETRIC = Preprocessing(8, 3, (0.5,) * 3, (0.5,) * 3)
GREY = Preprocessing(8, 1, (0.5,), (0.25,))


def z_score(x, t, k):
    axes = tuple(range(1, x.ndim))
    return (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + 1e-6)


@pytest.mark.parametrize("target", [IMAGENET, KERAS, CAFFE, SYMMETRIC, GREY, Preprocessing(8, 3, per_image=True)])
@pytest.mark.parametrize("spatial", [2, 3])
def test_what_the_architecture_states_matches(target, spatial):
    assert mismatch(chain(shifted, target=target), spatial) == ""


@pytest.mark.parametrize(
    ("target", "function", "words"),
    [
        (
            IMAGENET,
            lambda x, t, k: x,
            "values from -2.12 to 2.64, but those that reach the network go from 0 to 1 (after own)",
        ),
        (IMAGENET, lambda x, t, k: x * 255, "to 255"),
        (IMAGENET, lambda x, t, k: 2 * x - 1, "from -1 to 1"),
        (KERAS, lambda x, t, k: x, "values from 0"),
        (KERAS, lambda x, t, k: CAFFE.standardise(x), "values from"),  # the fault of AUCMEDI's EfficientNets
        (SYMMETRIC, lambda x, t, k: x, "from -1 to 1"),
        (SYMMETRIC, lambda x, t, k: IMAGENET.standardise(x), "from -1 to 1"),
        (GREY, lambda x, t, k: x, "from -2 to 2"),
        (
            CAFFE,
            lambda x, t, k: CAFFE.standardise(x)[..., ::-1],
            "the channels red, green, blue, but they come turned around",
        ),
        (IMAGENET, lambda x, t, k: shifted(x, t, k) * jnp.nan, "not finite"),
    ],
)
def test_another_range_or_order_does_not(target, function, words):
    assert words in mismatch(chain(function, target=target), 2)


def test_z_scores_pass_where_imagenet_is_expected():
    """Their range is alike; they are no mistake, but a choice."""
    assert mismatch(chain(z_score), 2) == ""


def test_a_run_without_any_is_told(quiet):
    with pytest.raises(UsageError, match="no preprocessor of batches is named"):
        check_match(Preprocessors((), IMAGENET), 2, "error", quiet)


def test_a_warning_instead_of_an_error(capsys):
    from medplug.progress import Reporter

    check_match(Preprocessors((), IMAGENET), 2, "warn", Reporter(quiet=True))
    assert "the weights were trained with values from" in " ".join(capsys.readouterr().err.split())
