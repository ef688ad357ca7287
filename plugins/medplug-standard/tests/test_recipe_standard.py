"""The recipes ``standard`` and ``demo``: complete, and without the faults of ``paper``."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

import medplug
from medplug.plugins.registry import registry
from medplug_standard.readers.folder import Folder
from medplug_standard.readers.table import Csv

RECIPES = ("standard", "paper", "demo")
TASKS = ("multiclass", "multilabel")


def file_of(recipe: str) -> dict[str, Any]:
    return tomllib.loads(registry().recipe_text(recipe))


def component(recipe: str, kind: str, name: str = "", task: str = "multiclass") -> Any:
    """The one component of a kind that a recipe makes, or that of a name."""
    made = medplug.Pipeline(recipe=recipe).config().make_all(kind, registry(), task)
    found = [one for reference, one in made if name in ("", reference.rpartition(":")[2])]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("recipe", ["standard", "paper"])
def test_every_setting_is_stated(recipe: str) -> None:
    """Whoever adds a setting adds its line: these files are what users copy and edit."""
    written = file_of(recipe)
    sections = {k: v for k, v in medplug.Pipeline(recipe=recipe).config().to_tree().items() if isinstance(v, dict)}
    assert {"data", "checks", "split", "training", "evaluation", "rendering"} <= set(sections)
    missing = {f"{name}.{key}" for name, section in sections.items() for key in section if key not in written[name]}
    assert not missing


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_kind_of_component_is_chosen(recipe: str) -> None:
    written = file_of(recipe)
    for section in ("reader", "preprocess", "augment", "architecture", "loss", "metric", "explainer"):
        assert written[section]["use"], section


def test_the_demo_needs_no_download_and_the_others_use_densenet121() -> None:
    use = {recipe: file_of(recipe)["architecture"]["use"] for recipe in RECIPES}
    assert use == {"standard": "densenet121", "paper": "densenet121", "demo": "efficientnet_lite0"}
    assert file_of("demo")["source"].partition(":")[0] == "phantoms"


# (setting, standard, paper): the faults that standard has to be free of
FAULTS = [
    ("training.augment_validation", False, True),
    ("training.shuffle", "samples", "batches"),
    ("training.tested_weights", "best", "last"),
    ("split.groups", "respect", "none"),
    ("split.given", "keep", "pool"),
    ("split.method", "stratified", "aucmedi"),
    ("checks.constant", "leave_out", "keep"),
    ("checks.two_valued", "leave_out", "keep"),
    ("checks.duplicates", "together", "ignore"),
    ("checks.near", "together", "report"),
    ("checks.conflicts", "leave_out", "keep"),
    ("rendering.rectify", True, False),
    ("rendering.scaling", "max", "minmax"),
]


@pytest.mark.parametrize(("key", "clean", "faulty"), FAULTS)
def test_settings_without_the_fault(key: str, clean: Any, faulty: Any) -> None:
    section, _, name = key.partition(".")
    for recipe, expected in (("standard", clean), ("paper", faulty), ("demo", clean)):
        assert medplug.Pipeline(recipe=recipe).config().to_tree()[section][name] == expected, recipe


def test_readers_without_the_fault() -> None:
    for name, clean in (("folder", Folder(masks="skip", extensions="images", pixels="faithful")), ("csv", Csv())):
        config = medplug.Pipeline(recipe="standard").config().with_uses("reader", name)
        assert config.make("reader", registry())[1] == clean


@pytest.mark.parametrize("recipe", ["standard", "demo"])
def test_components_without_the_fault(recipe: str) -> None:
    assert component(recipe, "preprocessor", "resize").antialias is True
    scale = component(recipe, "augmenter", "scale")
    assert (scale.low, scale.high) == (0.9, 1.1)
    assert component(recipe, "augmenter", "contrast" if recipe == "standard" else "brightness").integer is False
    assert component(recipe, "explainer").score == "logit"
    losses = [type(component(recipe, "loss", task=task)).__name__ for task in TASKS]
    assert losses == ["CrossEntropy", "BinaryCrossEntropy"]


def test_the_head_is_one_linear_layer_without_dropout() -> None:
    """By the file: densenet121's own defaults are a linear head, and the recipe says nothing else."""
    section = file_of("standard")["architecture"]
    assert section.get("densenet121", {}).get("hidden") is None
    assert "hidden" not in section
