"""Layers, names, text values, and the way back to TOML."""

import tomllib
from dataclasses import replace

import pytest

from medplug.config import Config, load_recipe, to_toml
from medplug.config.config import from_assignments
from medplug.errors import ContractError, ParameterError, UnknownComponentError, UsageError
from medplug.plugins import Component


@pytest.fixture
def base(fakes):
    return load_recipe("fake", fakes)


def test_later_layers_win_key_by_key():
    config = Config.from_layers(
        {"training": {"epochs": 3, "batch_size": 8}}, from_assignments({"training.epochs": "5"})
    )
    assert (config.training.epochs, config.training.batch_size) == (5, 8)


@pytest.mark.parametrize("word", ["augment", "augmenter", "augmenters"])
def test_a_kind_is_found_by_all_its_names(word, fakes, base):
    config = Config.from_layers(base, from_assignments({f"{word}.use": "mirror", f"{word}.probability": "0.25"}))
    [(name, mirror)] = config.make_all("augmenter", fakes)
    assert (name, mirror.probability) == ("fakes:mirror", 0.25)


def test_text_is_read_by_the_type_of_its_field(fakes, base):
    settings = {
        "preprocess.fit.antialias": "off",
        "data.size": "none",
        "training.learning_rate": "1e-3",
        "split.given": "pool",
        "reader.samples": "12",
    }
    config = Config.from_layers(base, from_assignments(settings))
    fit = dict(config.make_all("preprocessor", fakes))["fakes:fit"]
    assert (fit.antialias, config.data.size, config.training.learning_rate, config.split.given) == (
        False,
        None,
        1e-3,
        "pool",
    )
    assert config.make("reader", fakes)[1].samples == 12


def test_changing_the_component_drops_parameters_meant_for_another(fakes):
    below = {"loss": {"use": "focal", "gamma": 2.0, "simple_cross_entropy": {}}}
    config = Config.from_layers(below, {"loss": {"use": "simple_cross_entropy"}})
    assert config.make("loss", fakes)[0] == "fakes:simple_cross_entropy"


def test_use_by_task_and_parameters_by_task(fakes):
    section = {
        "use": {"multiclass": "tiny_net", "multilabel": ["tiny_net"]},
        "tiny_net": {"width": 3},
        "multilabel": {"dropout": 0.5},
    }
    config = Config.from_layers({"architecture": section})
    assert config.make("architecture", fakes, "multiclass")[1].dropout == 0.1
    assert config.make("architecture", fakes, "multilabel")[1].dropout == 0.5
    assert config.make("architecture", fakes, "multilabel")[1].width == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trainig.epochs": "3"}, "unknown section 'trainig'; did you mean 'training'?"),
        ({"epochs": "3"}, "did you mean 'training.epochs'?"),
        ({"training.epoch": "3"}, "unknown parameter 'epoch'; did you mean 'epochs'?"),
        ({"training.epochs": "many"}, "epochs must be int, got 'many'"),
        ({"training.epochs": "0"}, "at least 1"),
        ({"split.method": "strat"}, "must be one of"),
        ({"training": "3"}, "is a section"),
        ({"seed": "-1"}, "at least 0"),
        ({"budget": "0"}, "more than 0 minutes"),
        ({"task": "binary"}, "auto, multiclass or multilabel"),
        ({"training..epochs": "3"}, "is not a key"),
        ({"loss": "focal"}, "loss.use=NAME"),
    ],
)
def test_a_wrong_key_or_value_is_told(settings, words):
    with pytest.raises(UsageError) as error:
        Config.from_layers(from_assignments(settings))
    assert words in str(error.value)


def test_wrong_components_are_told_before_any_work(fakes, base):
    with pytest.raises(UnknownComponentError, match="nearest: tiny_net"):
        Config.from_layers(base, from_assignments({"architecture.use": "tinynet"})).check_components(fakes)
    with pytest.raises(ParameterError, match="did you mean 'width'"):
        Config.from_layers(base, from_assignments({"architecture.widht": "3"})).check_components(fakes)
    with pytest.raises(ParameterError, match="widths"):
        Config.from_layers(base, from_assignments({"architecture.tiny_net.widths": "3"})).check_components(fakes)
    with pytest.raises(
        UsageError, match="architecture.tinynet: there is no such architecture; did you mean 'tiny_net'"
    ):
        Config.from_layers(base, from_assignments({"architecture.tinynet.width": "3"})).check_components(fakes)
    with pytest.raises(UsageError, match=r"name the metric it belongs to, as in metric.simple_accuracy.x"):
        Config.from_layers(base, from_assignments({"metric.x": "3"})).check_components(fakes)


def test_the_written_configuration_repeats_itself(fakes, base):
    config = Config.from_layers(
        base, from_assignments({"architecture.width": "5", "training.epochs": "2", "seed": "7"})
    )
    kinds = ("reader", "augmenter", "architecture", "loss", "metric", "explainer", "observer")
    tree = config.to_tree({kind: config.make_all(kind, fakes) for kind in kinds})
    again = Config.from_layers(tomllib.loads(to_toml(tree)))
    assert replace(again, choices={}) == replace(config, choices={})
    for kind in kinds:
        assert again.make_all(kind, fakes) == config.make_all(kind, fakes)
    assert tree["architecture"]["width"] == 5
    assert tree["augment"] == {"use": ["fakes:mirror"], "mirror": {"probability": 0.5}}


def test_instances_stand_beside_names(fakes, base):
    class Own:
        tasks = ("multiclass",)

        def __call__(self, logits, targets, class_counts):
            return logits.sum(1)

    own = Own()
    assert Config.from_layers(base).with_components("loss", own).make("loss", fakes) == ("unregistered:Own", own)


def test_recipes_are_read_by_name_or_path(fakes, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[training]\nepochs = 3\n")
    assert load_recipe(str(path), fakes) == {"training": {"epochs": 3}}
    path.write_text("[training\n")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(str(path), fakes)
    with pytest.raises(UsageError, match="no such file"):
        load_recipe(str(tmp_path / "none.toml"), fakes)
    with pytest.raises(UnknownComponentError):
        load_recipe("nothing", fakes)


def test_a_component_that_lacks_what_its_kind_needs_is_named(fakes, base):
    class NoTasks:
        def __call__(self, logits, targets, class_counts):
            return logits.sum(1)

    class WrongTask(NoTasks):
        tasks = ("multi-class",)

    config = Config.from_layers(base)
    with pytest.raises(ContractError, match="loss unregistered:NoTasks lacks tasks; `medplug plugins show loss`"):
        config.with_components("loss", NoTasks()).make("loss", fakes)
    with pytest.raises(ContractError, match="did you mean 'multiclass'"):
        config.with_components("loss", WrongTask()).make("loss", fakes)


def test_a_shipped_recipe_means_its_own_distributions_components(fakes):
    """Installing a plugin that offers the same name never changes what a recipe does."""
    record = fakes.find("loss", "simple_cross_entropy")
    fakes.add(Component("loss", record.name, "medplug.testing.fakes:SimpleBinaryCrossEntropy"), "other")
    config = Config.from_layers(load_recipe("fake", fakes))
    assert config.make("loss", fakes)[0] == "fakes:simple_cross_entropy"


def test_a_table_for_a_name_that_two_plugins_offer_is_no_ambiguity(fakes):
    fakes.add(Component("augmenter", "mirror", "medplug.testing.fakes:SimpleCrossEntropy"), "other")
    config = Config.from_layers(load_recipe("fake", fakes), {"augment": {"mirror": {"probability": 0.25}}})
    config.check_components(fakes)
    assert config.make_all("augmenter", fakes)[0][1].probability == 0.25
