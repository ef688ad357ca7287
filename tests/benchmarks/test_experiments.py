"""The configuration files, and that they agree with the published numbers and with medplug's settings."""

import csv
from collections import Counter

import pytest

from benchmarks.experiments import FOLDER, PUBLISHED, describe, experiments, names, parse, published
from benchmarks.family import BenchmarkError, MissingDataError, Options

PAPER = {
    "dermatoscopy_isic2019", "endoscopy_upper_gi", "endoscopy_lower_gi", "histopathology_idc", "mri_brain_tumor",
    "xray_pneumonia", "ct_covid19", "ultrasound_breast", "retina_rfmid",
}  # fmt: skip
SMALL = {f"small_{s}" for s in ("ultrasound", "xray", "mri", "ct", "dermatoscopy", "microscopy", "retina")}


def all_experiments():
    return [pytest.param(e, id=e.name) for e in experiments().values()]


def paper():
    return [pytest.param(e, id=e.name) for e in experiments().values() if e.group == "paper"]


def test_there_are_nine_of_the_paper_and_seven_small_ones():
    assert {group: set(members) for group, members in names().items()} == {"paper": PAPER, "small": SMALL}


@pytest.mark.parametrize("experiment", all_experiments())
def test_files_open_with_their_command_and_what_it_needs(experiment):
    first, second, *_ = (FOLDER / f"{experiment.name}.toml").read_text("utf-8").splitlines()
    assert first == f"# python -m benchmarks run {experiment.name} --data DIR"
    assert second.startswith(f"# Needs: DIR/{experiment.data.path}")


@pytest.mark.parametrize("experiment", all_experiments())
def test_counts_are_consistent(experiment):
    data = experiment.data
    if data.task == "multiclass":
        assert sum(data.classes.values()) == data.images
    else:
        assert max(data.classes.values()) <= data.images
        assert (experiment.run.settings or {})["reader.label_column"].split(",") == list(data.classes)
    assert experiment.source.page.startswith("https://")


@pytest.mark.parametrize("experiment", [e for e in all_experiments() if e.id in SMALL])
def test_small_sets_have_floors_and_the_agreed_budget(experiment):
    plan = experiment.run
    wanted = (192, 20, (0, 1, 2)) if experiment.name == "small_ultrasound" else (128, 5, (0,))
    assert (plan.size, plan.budget, plan.seeds) == wanted
    assert plan.architecture == "efficientnet_lite0"
    assert experiment.features
    assert experiment.thumbnail is not None


@pytest.mark.parametrize("experiment", paper())
def test_paper_counts_are_the_published_ones(experiment):
    numbers = published(experiment.published)
    assert experiment.published == experiment.name
    assert (experiment.run.recipe, experiment.run.settings["split.seed"]) == ("paper", 341)
    images = {c: int(v) for (c, metric), v in numbers.items() if metric == "images"}
    assert images.pop("all") == experiment.data.images
    assert images == experiment.data.classes


@pytest.mark.parametrize("experiment", paper())
@pytest.mark.parametrize("metric", ["roc_auc", "f1", "accuracy_ovr", "sensitivity", "specificity"])
def test_published_macros_are_means_over_classes(experiment, metric):
    numbers = published(experiment.published)
    values = [numbers[c, metric] for c in experiment.data.classes]
    assert numbers["macro", metric] == pytest.approx(sum(values) / len(values), abs=2e-6)


@pytest.mark.parametrize("experiment", paper())
def test_published_parts_add_up(experiment):
    numbers = published(experiment.published)
    if experiment.data.task == "multilabel":
        assert numbers["all", "test"] == 384  # classes overlap, and parts are given for the whole only
        return
    for c, n in experiment.data.classes.items():
        assert sum(numbers[c, part] for part in ("train", "validation", "test")) == n
    assert sum(numbers[c, "test"] for c in experiment.data.classes) == numbers["all", "test"]
    correct = sum(numbers[c, "sensitivity"] * numbers[c, "test"] for c in experiment.data.classes)
    assert numbers["all", "accuracy"] == pytest.approx(correct / numbers["all", "test"], abs=1e-5)
    balanced = sum(numbers[c, "sensitivity"] for c in experiment.data.classes) / len(experiment.data.classes)
    assert numbers["all", "balanced_accuracy"] == pytest.approx(balanced, abs=1e-5)


def test_published_values_are_unique_and_have_a_source():
    rows = list(csv.DictReader(PUBLISHED.open(encoding="utf-8", newline="")))
    counts = Counter((r["experiment"], r["class"], r["metric"]) for r in rows)
    assert max(counts.values()) == 1
    assert all(r["source"] for r in rows)
    assert {r["experiment"] for r in rows} == PAPER


@pytest.mark.parametrize("experiment", all_experiments())
def test_settings_are_medplugs(experiment):
    for module in ("medplug_standard", "medplug_densenet", "medplug_efficientnet"):
        pytest.importorskip(module)
    from medplug import Pipeline
    from medplug.plugins.registry import registry

    plan = experiment.run
    config = Pipeline(
        recipe=plan.recipe or "standard", architecture=plan.architecture, size=plan.size, settings=plan.settings or {}
    ).config()
    config.check_components(registry())
    reader = "csv" if experiment.data.path.endswith(".csv") else "folder"
    _, made = config.with_uses("reader", reader).make("reader", registry())
    for key, value in (plan.settings or {}).items():
        section, _, field = key.partition(".")
        if section == "reader":
            assert getattr(made, field) == value


def test_missing_data_are_told_with_where_to_get_them(experiment, options, tmp_path):
    assert experiment.find(options.data) == (options.data / "toy").resolve()
    with pytest.raises(MissingDataError, match=r"https://example.org/toy \(CC0; Doe 2020\) as DIR/toy. Unpack it."):
        experiment.find(tmp_path / "elsewhere")
    with pytest.raises(MissingDataError, match="MEDPLUG_DATA"):
        experiment.find(None)


def test_list_tells_what_is_here(tmp_path):
    (tmp_path / "ultrasound").mkdir()
    options = Options(tmp_path, tmp_path)
    assert f"data here: {tmp_path.resolve()}" in describe("small_ultrasound", options)
    assert "data not here. Get them from https://github.com/" in describe("small_mri", options)


@pytest.mark.parametrize(
    "change", [("recipe", "recipy"), ("[source]", "[sauce]"), ("seeds = [341]", ""), ("title", "titel")]
)
def test_a_wrong_key_is_an_error_that_names_the_file(change):
    text = (FOLDER / "ct_covid19.toml").read_text("utf-8")
    with pytest.raises(BenchmarkError, match=r"experiments/broken\.toml"):
        parse("broken", text.replace(*change))
