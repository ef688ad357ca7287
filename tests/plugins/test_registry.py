"""One broken plugin costs only itself, and every look-up that fails says what to do."""

import sys
import types

import pytest

from medplug.errors import AmbiguousComponentError, BrokenComponentError, ParameterError, UnknownComponentError
from medplug.plugins import Component, hookimpl
from medplug.plugins.discovery import Entry
from medplug.plugins.policy import Policy
from medplug.plugins.registry import Registry

FAKE = "medplug.testing.fakes"


def plugin(*records, before_error=None, **members):
    @hookimpl
    def medplug_components():
        yield from records
        if before_error:
            raise before_error

    module = types.ModuleType("plugin_under_test")
    module.__dict__.update(members or {"medplug_components": medplug_components})
    return module


def record(name="focal", kind="loss", target=f"{FAKE}:SimpleCrossEntropy", **more):
    return Component(kind, name, target, "a loss", **more)


def registry_of(*plugins, policy=None):
    registry = Registry(policy)
    for number, module in enumerate(plugins):
        registry.add_plugin(module, f"dist-{number}", "1.0")
    return registry


def stages(registry):
    return [(p.distribution, p.stage) for p in registry.problems]


def test_components_are_found_by_name_alias_kind_and_distribution():
    registry = registry_of(plugin(record(aliases=("focal_loss",))))
    for reference in ("focal", "Focal-Loss", "loss/focal", "losses/focal", "dist-0:focal", "dist_0:focal"):
        assert registry.find("loss", reference).reference == "dist-0:focal"
    assert registry.make("loss", "focal").tasks == ("multiclass",)
    assert registry.record_of(registry.make("loss", "focal")).name == "focal"


def test_unknown_names_answer_with_the_nearest_and_the_broken_plugins():
    registry = registry_of(plugin(record()), plugin(before_error=RuntimeError("boom")))
    with pytest.raises(UnknownComponentError) as error:
        registry.find("loss", "fokal")
    for words in ("no loss named 'fokal'", "nearest: focal", "dist-1", "RuntimeError: boom", "medplug plugins list"):
        assert words in str(error.value)
    with pytest.raises(UnknownComponentError, match="pip install"):
        Registry().find("loss", "focal")


def test_two_distributions_with_one_name_have_to_be_told_apart():
    registry = registry_of(plugin(record()), plugin(record()))
    assert stages(registry) == [("dist-1", "clash")]
    with pytest.raises(AmbiguousComponentError, match="dist-0:focal, dist-1:focal"):
        registry.find("loss", "focal")
    assert registry.find("loss", "dist-1:focal").distribution == "dist-1"


def test_an_alias_never_hides_a_real_name():
    registry = registry_of(plugin(record()), plugin(record("other", aliases=("focal",))))
    assert registry.find("loss", "focal").distribution == "dist-0"


def test_import_problem_names_file_and_remedy(tmp_path, monkeypatch):
    (tmp_path / "broken_plugin_xyz.py").write_text("x = 1\nimport no_such_module_xyz\n")
    (tmp_path / "exiting_plugin_xyz.py").write_text("raise SystemExit('bye')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [Entry("broken", "a", "broken_plugin_xyz", "1"), Entry("exiting", "a", "exiting_plugin_xyz", "1")]
    registry = Registry.discover(Policy(), entries)
    problem = registry.problems[0]
    assert stages(registry) == [("broken", "import"), ("exiting", "import")]
    assert "no_such_module_xyz" in problem.cause
    assert problem.where.endswith("broken_plugin_xyz.py:2")
    assert "pip check" in problem.hint


def test_what_came_before_an_error_in_the_hook_stays():
    registry = registry_of(plugin(record(), before_error=ValueError("late")))
    assert [r.name for r in registry.components("loss")] == ["focal"]
    assert stages(registry) == [("dist-0", "hook")]


def test_a_misspelt_hook_is_told_with_the_right_name():
    @hookimpl
    def medplug_component():
        yield record()

    registry = registry_of(plugin(medplug_component=medplug_component))
    assert "unknown hook 'medplug_component'; did you mean 'medplug_components'?" in registry.problems[0].cause


def test_a_module_without_hook_is_told():
    assert "was found" in registry_of(plugin(other=1)).problems[0].cause


def test_a_hook_that_asks_for_arguments_is_refused():
    @hookimpl
    def medplug_components(config):
        yield record()

    registry = registry_of(plugin(medplug_components=medplug_components))
    assert registry.components() == ()
    assert stages(registry) == [("dist-0", "hook")]
    assert "config" in registry.problems[0].cause


def test_wrappers_are_refused():
    @hookimpl(wrapper=True)
    def medplug_components():
        return (yield)

    assert "wrapper" in registry_of(plugin(medplug_components=medplug_components)).problems[0].cause


@pytest.mark.parametrize(
    ("bad", "stage", "words"),
    [
        (record("Bad Name"), "record", "not a valid name"),
        (record(target="no colon"), "record", "'package.module:Class'"),
        (record(kind="lose"), "record", "unknown kind 'lose'; did you mean 'loss'?"),
        (record(contract=2), "contract", "written for loss contract 2; this medplug supports 1"),
        (record(contract=0), "record", "contract must be"),
        ("not a record", "record", "yielded str"),
    ],
)
def test_a_bad_record_costs_only_itself(bad, stage, words):
    registry = registry_of(plugin(bad, record("good")))
    assert [r.name for r in registry.components()] == ["good"]
    assert registry.problems[0].stage == stage
    assert words in str(registry.problems[0])


def test_a_target_that_cannot_be_imported_says_what_to_install():
    registry = registry_of(plugin(record(target="no_such_module_xyz:Thing", requires=("pydicom>=3",))))
    for _ in range(2):  # the failure is remembered
        with pytest.raises(BrokenComponentError, match="pip install pydicom>=3"):
            registry.load(registry.find("loss", "focal"))
    assert stages(registry) == [("dist-0", "resolve")]


@pytest.mark.parametrize("target", ["no_such_module_xyz:Thing", f"{FAKE}:NoSuchClass"])
def test_a_target_that_does_not_exist_is_the_records_fault(target):
    registry = registry_of(plugin(record(target=target)))
    with pytest.raises(BrokenComponentError, match=f"the target '{target}' in the plugin's record does not exist"):
        registry.load(registry.find("loss", "focal"))


def test_declared_twice_by_one_distribution_the_first_counts():
    registry = registry_of(plugin(record(), record(target=f"{FAKE}:TinyNet")))
    assert registry.find("loss", "focal").target.endswith("SimpleCrossEntropy")
    assert stages(registry) == [("dist-0", "clash")]


def test_lazy_attributes_of_a_plugin_module_are_not_touched():
    module = plugin(record())

    def explode(name):
        raise AssertionError(f"touched {name}")

    module.__dir__ = lambda: ["medplug_components", "medplug_heavy"]
    module.__getattr__ = explode
    assert registry_of(module).problems == []


def test_policy_is_applied_before_import():
    entries = [Entry("medplug-a", "x", "no_such_module_xyz"), Entry("other", "x", "no_such_module_xyz")]
    registry = Registry.discover(Policy(allow=("medplug-*",), block=("medplug-a",)), entries)
    assert [(p.stage, p.cause) for p in registry.problems] == [
        ("blocked", "on the block list"),
        ("blocked", "not on the allow list"),
    ]
    assert "no_such_module_xyz" not in sys.modules


def test_a_single_component_can_be_blocked():
    registry = registry_of(plugin(record(), record("other")), policy=Policy(block=("loss/focal",)))
    assert [r.name for r in registry.components()] == ["other"]


def test_strict_raises_at_the_first_problem():
    with pytest.raises(BrokenComponentError, match="not a valid name"):
        registry_of(plugin(record("Bad Name")), policy=Policy(strict=True))


def test_policy_from_the_environment():
    assert Policy.from_environment({}) == Policy()
    assert Policy.from_environment({"MEDPLUG_PLUGINS": "none"}).refusal("medplug-a") == "not on the allow list"
    chosen = Policy.from_environment(
        {"MEDPLUG_PLUGINS": "a, b", "MEDPLUG_PLUGINS_BLOCK": "b", "MEDPLUG_PLUGINS_STRICT": "1"}
    )
    assert (chosen.refusal("a"), chosen.refusal("b"), chosen.refusal("c")) == (
        "",
        "on the block list",
        "not on the allow list",
    )
    assert chosen.strict


def test_parameters_are_checked_where_a_component_is_made(fakes):
    with pytest.raises(ParameterError, match="architecture/tiny_net: unknown parameter 'widht'; did you mean 'width'"):
        fakes.make("architecture", "tiny_net", widht=3)
