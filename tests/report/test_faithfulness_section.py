"""The section on how far maps can be believed, and what cards say of single maps."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any

import pytest

from medplug.report.facts import ExplainedImage, ReportFacts
from medplug.report.faithfulness import alarms_of, faithfulness, of_image, pictures_of

EVIL = "<script>alert(1)</script>"


def figure(value: float | None, spread: float = 0.1) -> dict[str, Any]:
    if value is None:
        return {"value": None, "n": 0, "reason": "no image has a value"}
    return {"value": value, "n": 4, "low": value - spread, "high": value + spread, "method": "95 % BCa bootstrap"}


def method(margin: float, *, own: bool = False, weights: float = 0.02) -> dict[str, Any]:
    return {
        "own": own,
        "random": "random 4 x 4",
        "map_size": [4, 4],
        "cascade": {"names": ["head", "body", "stem"], "correlations": [0.8, None, weights], "images": 2},
        "per_image": {"insertion": [0.7, 0.6], "deletion": [0.25, None]},
        "figures": {"margin": figure(margin), "pointing": figure(0.5), "random_weights": figure(weights)},
        "beside_random": {"margin": figure(margin - 0.01)},
        "beside_centre": {"margin": figure(margin - 0.1)},
        "alarms": [],
    }


@pytest.fixture
def found() -> dict[str, Any]:
    noise = {
        "map_size": [4, 4],
        "per_image": {"insertion": [0.4, 0.4], "deletion": [0.45, 0.5]},
        "figures": {"margin": figure(0.01)},
    }
    auc = {c: {"simple_auc": figure(v, 0.02)} for c, v in zip(CONDITIONS, (0.9, 0.7, 0.6, 0.5), strict=True)}
    mean = {"images": 3, "picture": "class-01.png", "border": 0.2}
    cluster = {
        **mean, "name": "cluster 1", "picture": "cluster-1.png", "labels": {EVIL: 3}, "predicted": {"b": 3}, "right": 0,
        "examples": ["x.png"],
    }  # fmt: skip
    return {
        "conditions": {"samples": ["x.png", "y.png"], "explained": ["a", "b"]},
        "methods": {"cam": method(0.2, own=True), "gradient": method(0.4)},
        "baselines": {"random 4 x 4": noise, "centre": {**noise, "figures": {"margin": figure(0.1)}}},
        "ranked_by": "margin",
        "ranking": ["gradient", "cam"],
        "verdict": "cam is better than nothing.",
        "alarms": [],
        "probes": {
            "images": 9,
            "method": "cam",
            "without_evidence": 1,
            "even_border": 0.36,
            "hidden_parts": {
                "metrics": ["simple_auc"],
                "figures": auc,
                "left": {"centre_hidden": {"simple_auc": 0.5}, "border_only": {"simple_auc": 0.25}},
            },
            "classes": [{**mean, "name": "a"}],
            "clusters": [cluster],
            "alarms": [],
        },
    }


CONDITIONS = ("plain", "centre_hidden", "border_only", "hidden")


def facts(found: dict[str, Any]) -> ReportFacts:
    return ReportFacts("t", "multiclass", ("a", "b"), faithfulness=found)


def card(**changes: Any) -> ExplainedImage:
    one = ExplainedImage("a", "x.png", ("a",), "a", 0.9, "cam", b"", b"", 0, 1)
    return replace(one, **changes)


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u00a0", " ")


def test_without_a_measurement_there_is_no_section() -> None:
    assert faithfulness(facts({})) == ""
    assert of_image(facts({}), card()) == ""


def test_the_best_method_stands_first_and_maps_that_know_nothing_last(found: dict[str, Any]) -> None:
    page = faithfulness(facts(found))
    order = [
        page.index(word)
        for word in ("1. <bdi>gradient", "2. <bdi>cam</bdi> (the run", "random map, 4 x 4", "the centre of")
    ]
    assert order == sorted(order)
    assert "cam is better than nothing." in page
    assert "never where a disease is" in page


def test_random_weights_are_told_at_both_ends_and_marked_from_the_limit_on(found: dict[str, Any]) -> None:
    found["methods"]["cam"] = method(0.2, own=True, weights=0.9)
    told = plain(faithfulness(facts(found)).partition("Random-weights check")[2].partition("Probes")[0])
    assert "shuffled: the head down to body all weights" in told
    assert "gradient 0.800 – 0.020" in told
    assert "cam 0.800 – 0.900 alarm" in told


def test_probes_say_what_is_left(found: dict[str, Any]) -> None:
    told = plain(faithfulness(facts(found)))
    assert "25.0 % with the outer tenth alone and 50.0 % with the middle hidden is left" in told
    assert "No alarm: the border alone" in told
    assert "1 map without positive evidence" in told
    assert pictures_of(found) == ["class-01.png", "cluster-1.png"]


def test_alarms_and_names_are_escaped(found: dict[str, Any]) -> None:
    found["alarms"] = [{"method": EVIL, "kind": "constant", "value": 1, "limit": 0, "text": f"all alike {EVIL}"}]
    found["probes"]["alarms"] = [{"kind": "border_only", "value": 1, "limit": 0.5, "text": f"the border tells {EVIL}"}]
    page = faithfulness(facts(found))
    assert page.count('class="level warning"') == 2
    assert "<script>" not in page
    assert "None. Looked for" not in page
    assert "<script>" not in alarms_of(card(alarms=(EVIL,)))


def test_a_card_has_the_figures_of_its_own_map_only(found: dict[str, Any]) -> None:
    page = facts(found)
    assert "insertion 0.700 (random map 0.400), deletion 0.250 (random map 0.450)" in of_image(page, card())
    second = of_image(page, card(sample="y.png", explained="b"))
    assert "insertion 0.600 (random map 0.400)" in second
    assert "(random map 0.500)" not in second  # its deletion is not defined
    for other in ({"sample": "z.png"}, {"explained": "b"}, {"method": "rise"}):
        assert of_image(page, card(**other)) == ""


def test_a_measurement_without_curves_and_probes_has_a_section(found: dict[str, Any]) -> None:
    bare = copy.deepcopy(found)
    bare |= {"ranked_by": "", "probes": None, "verdict": "not measured"}
    for one in bare["methods"].values():
        one |= {"cascade": {}, "per_image": {}}
    page = faithfulness(facts(bare))
    assert "not measured" in page
    assert "<table" not in page
    assert of_image(facts(bare), card()) == ""
