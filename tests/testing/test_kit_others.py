"""The kit on observers and recipes, and what it asks of every component."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from medplug.errors import ParameterError, UsageError
from medplug.plugins import Component, component, param
from medplug.plugins.kinds import KINDS
from medplug.testing import ConformanceError, check_component
from medplug.testing.fakes import Recorder, SimpleCrossEntropy, fake_registry
from medplug.testing.runner import kind_of


def failed(obj: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(ConformanceError) as caught:
        check_component(obj, **options)
    return caught.value.report.failed


# ---------------------------------------------------------------- observers


@component
class Misspelt:
    """Listens to an event that is never told."""

    def epoch_end(self, run: Any) -> None: ...

    def run_started(self, run: Any) -> None: ...


@component
class Deaf:
    """Listens to nothing."""


@component
class AsksForMore:
    """Takes an argument that no event has."""

    def epoch_ended(self, run: Any, model: Any) -> None: ...


@component
class AssumesNumbers:
    """Rounds figures that may be undefined."""

    def evaluated(self, metrics: dict[str, Any]) -> None:
        for score in metrics["macro"].values():
            round(score["value"], 3)


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (Misspelt, "listens_to_an_event"),
        (Deaf, "listens_to_an_event"),
        (AsksForMore, "takes_known_arguments"),
        (AssumesNumbers, "gets_through_a_run"),
    ],
)
def test_a_broken_observer_fails(mutant: type, check: str) -> None:
    assert check in failed(mutant, kind="observer")


def test_a_correct_observer_passes_and_records(tmp_path: Path) -> None:
    assert check_component(Recorder, kind="observer").ok
    Recorder().epoch_ended(SimpleNamespace(folder=tmp_path), 3, {"loss": 0.1})
    assert (tmp_path / "events.txt").read_text() == "epoch_ended 3 loss\n"


# ---------------------------------------------------------------- recipes


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes the record of a recipe with some text."""

    def make(text: str) -> Component:
        package = tmp_path / f"package_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_")
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "mine.toml").write_text(text)
        return Component("recipe", "mine", f"{package.name}:mine.toml", "a recipe")

    monkeypatch.syspath_prepend(tmp_path)
    return make


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("[loss\nuse = 1", "is_toml"),
        ("", "is_toml"),
        ('[loss]\nuse = "simple_cros_entropy"', "names_components"),
        ('[loss]\nuse = "tiny_net"', "names_components"),
        ("[training]\nepochs = 3", "names_components"),
        ("[training]\nepoch = 3", "sets_known_keys"),
        ("[trainings]\nepochs = 3", "sets_known_keys"),
        ('[architecture]\nuse = "tiny_net"\nwdith = 3', "names_components"),
    ],
)
def test_a_broken_recipe_fails(recipe: Any, text: str, check: str) -> None:
    assert check in failed(recipe(text), registry=fake_registry())


def test_a_recipe_that_the_package_does_not_hold_fails() -> None:
    assert "is_toml" in failed(Component("recipe", "gone", "medplug.testing:gone.toml"), registry=fake_registry())


def test_a_correct_recipe_passes() -> None:
    registry = fake_registry()
    assert check_component(registry.find("recipe", "fake"), registry=registry).ok


# ---------------------------------------------------------------- all kinds


@component
class Undocumented(SimpleCrossEntropy):
    gamma: float = param("", default=1.0)


@component
class SaysNone(SimpleCrossEntropy):
    """Takes the word that stands for None in TOML."""

    average: str | None = param("a word or nothing", default="macro")


class Mutable:
    """Not a component: parameters are in an ordinary object, which compares by identity."""

    tasks = ("multiclass",)

    def __call__(self, logits: jax.Array, targets: jax.Array, class_counts: jax.Array) -> jax.Array:
        return SimpleCrossEntropy()(logits, targets, class_counts)


@component
class Thawed(SimpleCrossEntropy):
    """Lets itself be changed."""

    gamma: float = param("a number", default=1.0)


Thawed.__setattr__ = object.__setattr__  # type: ignore[method-assign, assignment]


@component
class Drifts(SimpleCrossEntropy):
    """Changes its own parameters."""

    gamma: float = param("a number", default=1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", self.gamma / 2)


@component
class EqualToAll(SimpleCrossEntropy):
    """Has an equality of its own."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


def test_what_every_component_has_to_do() -> None:
    assert failed(Undocumented, draw=0) == ("documented",)
    assert failed(SaysNone(average="none")) == ("survives_a_configuration",)
    assert check_component(SaysNone(average=None)).ok, "None is written and read, though it is not the default"
    assert {"equal_by_value", "survives_a_configuration"} <= set(failed(Drifts, draw=0))
    local = type("Local", (Mutable,), {"__doc__": "A class that cannot be found by name."})
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(local())
    assert failed(local) == ("survives_pickle",)


@pytest.mark.parametrize(("mutant", "check"), [(Thawed, "frozen"), (EqualToAll, "equal_by_value")])
def test_parameters_stay_what_they_are(mutant: type, check: str) -> None:
    assert check in failed(mutant, draw=0)


def test_an_object_that_is_no_component_passes_and_is_told_so() -> None:
    report = check_component(Mutable)
    assert report.ok
    assert {"frozen", "equal_by_value", "survives_a_configuration"} <= set(report.skipped)


# ---------------------------------------------------------------- the runner


def test_expected_failures_are_strict() -> None:
    report = check_component(Undocumented, draw=0, expect_fail={"documented": "to be written"})
    assert report.ok
    assert "documented" in report.named("failed")
    with pytest.raises(ConformanceError, match=r"was expected to fail \(slow\) but did not"):
        check_component(SimpleCrossEntropy, expect_fail={"finite_at_extremes": "slow"})
    with pytest.raises(UsageError, match="did you mean 'documented'"):
        check_component(SimpleCrossEntropy, expect_fail={"documentd": "typo"})


@component
class NeedsAParameter(SimpleCrossEntropy):
    """Cannot be made without a parameter."""

    gamma: float = param("a number", gt=0)


def test_required_parameters_need_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match="examples"):
        check_component(NeedsAParameter)
    monkeypatch.setattr(NeedsAParameter, "examples", ({"gamma": 2.0}, NeedsAParameter(gamma=3.0)), raising=False)
    report = check_component(NeedsAParameter, draw=0)
    assert {o.label for o in report.outcomes} == {"example gamma=2.0", "example gamma=3.0"}


def test_kinds_are_found_from_methods() -> None:
    registry = fake_registry()
    for record in registry.components():
        if record.kind not in ("recipe", "observer"):
            assert kind_of(registry.load(record)) == record.kind
    with pytest.raises(UsageError, match="pass kind="):
        kind_of(Deaf)
    with pytest.raises(UsageError, match="did you mean 'loss'"):
        check_component(SimpleCrossEntropy, kind="losss")


def test_a_record_is_enough() -> None:
    registry = fake_registry()
    report = check_component(registry.find("metric", "simple_auc"))
    assert report.ok
    assert report.subject == "metric/simple_auc"


def test_the_fakes_know_nothing_of_installed_plugins() -> None:
    registry = fake_registry()
    assert not registry.problems
    assert {r.distribution for r in registry.components()} == {"fakes"}
    assert {r.kind for r in registry.components()} == set(KINDS)


def test_the_fake_metrics_agree_with_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, roc_auc_score

    rng = np.random.default_rng(0)
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 80)]
    odds = np.exp(rng.normal(size=(80, 3)) + targets)
    probabilities = odds / odds.sum(1, keepdims=True)
    weight = rng.uniform(0, 2, 80)
    registry = fake_registry()
    auc = registry.make("metric", "simple_auc")(targets, probabilities, weight)
    assert auc == pytest.approx(
        [roc_auc_score(targets[:, k], probabilities[:, k], sample_weight=weight) for k in range(3)]
    )
    accuracy = registry.make("metric", "simple_accuracy")(targets, probabilities, weight)
    assert accuracy == pytest.approx(accuracy_score(targets.argmax(1), probabilities.argmax(1), sample_weight=weight))
