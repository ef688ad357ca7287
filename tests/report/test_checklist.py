"""Checklists: complete lists of items, filled from what a run knows and from nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from medplug.report.answers import ANSWERS
from medplug.report.checklist import AUTHORS, UNRECORDED, checklist_markdown, fill_checklists, guidelines
from medplug.report.facts import ReportFacts

CONFIG = """
seed = 3
[data]
size = 224
[preprocess]
use = ["some-plugin:stretch", "some-plugin:centre"]
[preprocess.stretch]
antialias = true
[split]
method = "stratified"
train = 0.7
[reader]
use = "some-plugin:folder"
masks = "skip"
[augment]
use = ["some-plugin:flip", "some-plugin:turn"]
[augment.flip]
p = 0.5
[architecture]
use = "some-plugin:net50"
weights = "imagenet"
dropout = 0.2
[loss]
use = "some-plugin:entropy"
class_weight = "none"
[explainer]
use = "some-plugin:example_map"
[training]
epochs = 40
optimizer = "adamw"
tested_weights = "best"
"""
MANIFEST = {
    "medplug": "0.1.0", "python": "3.11.7", "device": "1 x cpu", "packages": {"jax": "0.10.2"}, "data_fingerprint": "e8e8a098",
    "plugins": {"some-plugin": {"version": "2.0", "components": ["net50"]}},
}  # fmt: skip


def complete(invent: Any, **changes: Any) -> ReportFacts:
    return invent(**({"config": CONFIG, "manifest": MANIFEST} | changes))


def filled(facts: ReportFacts) -> dict[tuple[str, str], str]:
    return {(i.guideline, i.number): i.value for i in fill_checklists(facts) if i.status == "filled"}


def value(facts: ReportFacts, guideline: str, number: str) -> str:
    return filled(facts)[guideline, number]


SOFTWARE = {(g.name, e.number): e for g in guidelines() for e in g.entries if e.rule not in (AUTHORS, UNRECORDED)}


# ---------------------------------------------------------------- the lists themselves


@pytest.mark.parametrize(("name", "numbered", "rows"), [("CLAIM 2024", 44, 44), ("TRIPOD+AI", 27, 52), ("STARD-AI", 40, 48)])  # fmt: skip
def test_the_lists_are_complete(name: str, numbered: int, rows: int) -> None:
    guideline = next(g for g in guidelines() if g.name == name)
    numbers = [entry.number for entry in guideline.entries]
    assert guideline.numbered == numbered
    assert len(numbers) == len(set(numbers)) == rows
    parts = [re.fullmatch(r"(\d+)([a-z]?)", number) for number in numbers]
    assert [int(p[1]) for p in parts if p and p[2] in ("", "a")] == list(range(1, numbered + 1))
    letters = {n: [p[2] for p in parts if p and int(p[1]) == n] for n in range(1, numbered + 1)}
    assert all(found in ([""], list("abcdefgh")[: max(len(found), 2)]) for found in letters.values())


@pytest.mark.parametrize("guideline", guidelines(), ids=lambda g: g.name)
def test_every_item_has_a_topic_a_rule_and_a_source(guideline: Any) -> None:
    assert set(guideline.source) == {"title", "authors", "journal", "year", "doi"}
    assert re.fullmatch(r"10\.\d{4,}/\S+", guideline.source["doi"])
    for entry in guideline.entries:
        assert 5 < len(entry.topic) < 80, entry
        assert entry.rule in {*ANSWERS, AUTHORS, UNRECORDED}, entry
        assert not entry.rest.endswith("."), entry


def test_no_answer_is_without_an_item() -> None:
    assert set(ANSWERS) == {entry.rule for entry in SOFTWARE.values()}


# ---------------------------------------------------------------- filling


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_complete_facts_fill_every_item_that_software_can_fill(invent: Any, task: str) -> None:
    facts = complete(invent, task=task)
    elsewhere = {key for key, entry in SOFTWARE.items() if entry.rule == "external_test"}
    assert set(filled(facts)) == set(SOFTWARE) - elsewhere
    assert all("None" not in v.replace("None:", "") and "{" not in v for v in filled(facts).values())


def test_preprocessing_names_its_components(invent: Any) -> None:
    assert value(complete(invent), "CLAIM 2024", "9").startswith(
        "Brought to an edge of 224 pixels and the values that the architecture states in model.json by stretch "
        "(antialias True), centre. Read by folder (masks skip)."
    )


def test_nothing_is_filled_without_facts() -> None:
    items = fill_checklists(ReportFacts("nothing", "multiclass", ("a", "b")))
    assert {(i.guideline, i.number) for i in items if i.status == "not recorded"} >= set(SOFTWARE)
    assert not [i for i in items if i.status == "filled" or i.value]


def test_authors_items_are_left_to_the_authors(invent: Any) -> None:
    theirs = {(g.name, e.number) for g in guidelines() for e in g.entries if e.rule == AUTHORS}
    items = fill_checklists(complete(invent))
    assert {(i.guideline, i.number) for i in items if i.status == "authors"} == theirs
    assert all(i.value == "" for i in items if i.status == "authors")


@pytest.mark.parametrize(
    ("missing", "claim"),
    [
        ({"config": ""}, "9 22 24 25 26 27"),
        ({"manifest": {}}, "23 43"),
        ({"checks": {}}, "12 35"),
        ({"metrics": {}}, "28 29 32 37 38"),
        ({"explanations": ()}, "31"),
        ({"tested_epoch": None}, "26"),
        ({"independence_level": "unknown"}, "20"),
        ({"split_sizes": {}, "split_counts": {}}, "19 27 32 35"),
    ],
    ids=lambda case: next(iter(case)) if isinstance(case, dict) else None,
)
def test_what_is_missing_is_not_recorded_and_nothing_else_changes(
    invent: Any, missing: dict[str, Any], claim: str
) -> None:
    before, after = (filled(facts) for facts in (complete(invent), complete(invent, **missing)))
    lost = {number for guideline, number in set(before) - set(after) if guideline == "CLAIM 2024"}
    gained = {number for guideline, number in set(after) - set(before) if guideline == "CLAIM 2024"}
    assert lost == set(claim.split())
    assert gained == ({"33"} if "split_sizes" in missing else set())


def test_missing_analyses_are_not_recorded(invent: Any) -> None:
    facts = complete(invent)
    lost = set(filled(facts)) - set(filled(replace(facts, analysis={})))
    assert lost == {("CLAIM 2024", "39"), *(("TRIPOD+AI", n) for n in ("12d", "12f", "15", "23b", "24", "27a")), *(("STARD-AI", n) for n in ("15c", "21", "23"))}  # fmt: skip


def test_answers_say_what_the_facts_say(invent: Any) -> None:
    facts = complete(
        invent, split_sizes={"train": 700, "validation": 100, "test": 200}, split_notes=(), confusion=[[8, 2, 0], [1, 9, 0], [0, 0, 5]],
        split_counts={p: {"benign": n, "malignant": 2 * n, "normal": 0} for p, n in (("train", 200), ("validation", 30), ("test", 50))},
    )  # fmt: skip
    assert value(facts, "CLAIM 2024", "19") == (
        "Images: train 700 (70.0\u00a0%), validation 100 (10.0\u00a0%), test 200 (20.0\u00a0%). "
        "Settings: method stratified, train 0.7; seed of the run 3."
    )
    assert value(facts, "CLAIM 2024", "12") == "31\u00a0files left out: 30 × a mask by its name; 1 × not an image file."
    assert value(facts, "CLAIM 2024", "22").startswith("Deep neural network, architecture net50 (weights imagenet, dropout 0.2). Output: probabilities that add up to 1, of 3 classes")  # fmt: skip
    assert (
        value(facts, "CLAIM 2024", "24")
        == "Pretrained weights: imagenet; what these lack from random numbers of seed 3."
    )
    assert value(facts, "CLAIM 2024", "26") == "Weights of epoch 31 of 40: the one with the lowest validation loss."
    assert "Augmentation: flip (p 0.5), turn." in value(facts, "CLAIM 2024", "25")
    assert "Epochs: 8 in phase head, 32 in phase all" in value(facts, "CLAIM 2024", "25")
    assert "benign 28.6\u00a0% and 25.0\u00a0%; malignant 57.1\u00a0% and 50.0\u00a0%" in value(
        facts, "TRIPOD+AI", "20c"
    )
    assert "benign: 8 as benign, 2 as malignant; malignant: 1 as benign, 9 as malignant" in value(
        facts, "STARD-AI", "30"
    )
    assert "log loss 0.847 before, 0.598 after" in value(facts, "TRIPOD+AI", "24")
    assert "rule youden, chosen on the validation part (120\u00a0images): benign 0.310 (0.220 to 0.470)" in value(
        facts, "TRIPOD+AI", "15"
    )
    assert "women (n 83) ranking 0.910 (0.850 to 0.970)" in value(facts, "TRIPOD+AI", "23a")
    assert "1 too small to be shown" in value(facts, "TRIPOD+AI", "23a")


def test_what_was_not_done_is_told_with_its_reason(invent: Any) -> None:
    facts = complete(invent)
    why = "31 validation images: at least 50 are needed"
    calibration = facts.analysis["calibration"] | {
        "after": None,
        "fit": {"method": "none", "parameters": {}, "skipped": why},
    }
    thresholds = {"rule": {"name": "youden", "parameters": {}}, "skipped": why, "per_class": {}}
    facts = replace(facts, analysis={**facts.analysis, "calibration": calibration, "thresholds": thresholds})
    for number in ("12f", "24", "15"):
        assert why in value(facts, "TRIPOD+AI", number)
    random = complete(invent, config=CONFIG.replace('"imagenet"', '"none"'))
    assert value(random, "CLAIM 2024", "24") == "All from random numbers of seed 3."


def test_an_undefined_figure_is_told_with_its_reason(invent: Any) -> None:
    facts = complete(invent, absent=("normal",))
    analysis = {key: part for key, part in facts.analysis.items() if key != "thresholds"}
    told = value(replace(facts, analysis=analysis), "CLAIM 2024", "38")
    assert "normal (n 0): F1 not defined (no positive samples in the test split)" in told


def test_other_data_are_an_external_test_and_no_partition(invent: Any) -> None:
    facts = complete(invent)
    other = replace(facts, split_sizes={"test": 134}, split_counts={"test": facts.split_counts["test"]}, history=(), tested_epoch=None, independence_level="unknown")  # fmt: skip
    found = filled(other)
    assert found["CLAIM 2024", "33"].startswith("On 134\u00a0images of other data")
    for number in ("19", "20", "26", "27", "32"):
        assert ("CLAIM 2024", number) not in found
    assert ("STARD-AI", "17a") not in found


def test_predictions_of_another_tool_fill_figures_only(bare: Any) -> None:
    found = {number for guideline, number in filled(bare()) if guideline == "CLAIM 2024"}
    assert found == {"28", "29", "37", "38", "39"}


def test_many_classes_stay_short(invent: Any, findings: tuple[str, ...]) -> None:
    facts = complete(invent, classes=findings, task="multilabel")
    assert "and 21 more in the report" in value(facts, "CLAIM 2024", "38")


# ---------------------------------------------------------------- as Markdown


def test_markdown_has_a_row_for_every_item_whatever_the_names(invent: Any, evil_names: tuple[str, ...]) -> None:
    items = fill_checklists(complete(invent, classes=(*evil_names, "a | b", "c\n\n# d"), metrics_named=3))
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(checklist_markdown(items))
    assert page.count("<tr>") == len(items) + 3
    assert page.count("<td>") == 4 * len(items)
    assert page.count("<h1>") == 1
    assert page.count("<h2>") == 3
    assert set(re.findall(r"</?([a-z0-9]+)", page)) == {
        "h1",
        "h2",
        "p",
        "em",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert "10.1148/ryai.240300" in page
