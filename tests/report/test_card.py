"""The model card: front matter that reads as it was written, and names that stay names."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from medplug.report.card import model_card
from medplug.report.facts import ReportFacts
from medplug.report.markdown import escape, table, yaml
from medplug.report.markup import visible

SECTIONS = (
    "What it is", "Intended use and limits", "Data and split", "Training", "Evaluation", "Calibration and thresholds",
    "Subgroups", "How to use it", "Environment",
)  # fmt: skip
NASTY = ("*", "a_b_", "`x`", "- a", "1. a", "# a", "> a", "| a | b", "---", "===", "[a](javascript:b)", "<b>", "&lt;", "a\n\nb", "![i](x)", "\\", "~~a~~", "https://a.b", "yes", "null", "{a: b}", "'", '"', "@x", "%", ": a", "💉 ü")  # fmt: skip


def render(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def parts(card: str) -> tuple[str, str]:
    """Front matter and body."""
    begin, front, body = card.split("---\n", 2)
    assert begin == ""
    return front, body


def front(facts: ReportFacts) -> Any:
    return pytest.importorskip("yaml").safe_load(parts(model_card(facts))[0])


def test_subgroups_of_one_class_each_carry_a_warning(invent: Any) -> None:
    facts = invent()
    entry = facts.analysis["subgroups"]["sex"]
    undefined = {"value": None, "reason": "undefined for every class"}
    rows = [{**r, "macro": {**r["macro"], "ranking": undefined}} if r["macro"] else r for r in entry["rows"]]
    analysis = {**facts.analysis, "subgroups": {"sex": entry, "cause": {**entry, "rows": rows}}}
    card = model_card(invent(analysis=analysis))
    warning = "differences between these subgroups may be differences between classes"
    assert warning not in card[card.index("### By sex") : card.index("### By cause")]
    assert warning in card[card.index("### By cause") : card.index("## How to use it")]


def test_front_matter_holds_task_metrics_and_intervals(invent: Any) -> None:
    facts = invent()
    found = front(facts)
    assert found["license"] == "not recorded"
    assert found["library_name"] == "medplug"
    assert found["pipeline_tag"] == "image-classification"
    assert found["tags"][0] == "medplug"
    macro = facts.test["macro"]
    assert found["metrics"] == list(macro)
    results = found["model-index"][0]["results"][0]
    assert results["dataset"]["split"] == "test"
    for entry in results["metrics"]:
        figure = macro[entry["type"]]
        assert isinstance(entry["value"], float)
        assert entry["value"] == pytest.approx(figure["value"], rel=1e-5)
        assert entry["args"]["low"] == pytest.approx(figure["low"], rel=1e-5)
        assert entry["args"]["high"] == pytest.approx(figure["high"], rel=1e-5)
        assert entry["args"]["method"] == figure["method"]
        assert entry["args"]["confidence"] == 0.95


def test_a_metric_without_a_value_is_not_in_the_front_matter(invent: Any) -> None:
    facts = invent()
    facts.test["macro"]["f1"] = {"value": None, "reason": "no positive samples"}
    facts.test["macro"]["accuracy"] = {"value": 0.5, "low": None, "high": None, "interval_reason": "one sample"}
    found = {entry["type"]: entry for entry in front(facts)["model-index"][0]["results"][0]["metrics"]}
    assert "f1" not in found
    assert found["accuracy"]["args"] == {"interval": "one sample"}
    assert "not defined (no positive samples)" in model_card(facts)


@pytest.mark.parametrize("name", NASTY)
def test_front_matter_reads_any_title(invent: Any, name: str) -> None:
    found = front(invent(title=name))
    assert found["model-index"][0]["name"] == re.sub(r"\s+", " ", name)


def test_front_matter_has_one_key_or_item_a_line(invent: Any, evil_names: tuple[str, ...]) -> None:
    """The same without a YAML parser: every line is a key, a key with a JSON value, or an item."""
    scalar = r"(?:\"(?:[^\"\\]|\\.)*\"|-?\d+\.\d+(?:e[+-]\d+)?|\[\])"
    for facts in (invent(evil_names, title=evil_names[1]), ReportFacts("a\nb: c", "multilabel", ("a",))):
        for line in parts(model_card(facts))[0].splitlines():
            assert re.fullmatch(rf" *(?:- )?(?:[a-z_-]+:(?: {scalar})?|{scalar})", line), line


def test_sections_stand_in_order_for_a_whole_run_and_for_nothing(invent: Any, bare: Any) -> None:
    for facts in (invent(), bare(), ReportFacts("t", "multiclass", ("a", "b"))):
        page = render(parts(model_card(facts))[1])
        assert tuple(re.findall(r"<h2>(.*?)</h2>", page)) == SECTIONS
        assert "not a medical device" in page
        assert "medplug predict RUN images/" in page


def test_what_the_facts_do_not_hold_is_not_recorded() -> None:
    body = parts(model_card(ReportFacts("t", "multiclass", ("a", "b"))))[1]
    for title in ("Training", "Evaluation", "Calibration and thresholds", "Subgroups", "Environment"):
        assert f"## {title}\n\nNot recorded.\n" in body
    assert "What test and training images share is not known" in body


def test_figures_of_the_run_stand_in_the_body(invent: Any) -> None:
    facts = invent()
    page = html.unescape(render(parts(model_card(facts))[1]))
    assert "Level of independence of the test part: group (given)." in page
    assert f"<td>{facts.test['macro']['f1']['value']:.3f} (" in page
    assert "<td>benign</td>\n<td>212</td>\n<td>26</td>\n<td>53</td>" in page
    assert "temperature (temperature 1.43), fitted on the validation part" in page
    assert "<td>x</td>\n<td>4</td>\n<td>too few</td>\n<td>too few</td>" in page
    assert "Images of a group taken together (52 groups): F1 " in page


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_names_bring_no_markup(invent: Any, evil_names: tuple[str, ...], task: str) -> None:
    names = (*evil_names, *NASTY)
    facts = invent(names, task=task, title=evil_names[0], manifest={"source": evil_names[1], "medplug": evil_names[2]})
    plain = invent(tuple(f"class {i}" for i in range(len(names))), task=task, title="t", manifest={"source": "s", "medplug": "0"})  # fmt: skip

    def elements(card: str) -> list[str]:
        return re.findall(r"<[^>]*>", render(parts(card)[1]))

    assert elements(model_card(facts)) == elements(model_card(plain))


@given(st.text(max_size=30) | st.sampled_from(NASTY))
def test_escaped_text_is_shown_as_it_is(name: str) -> None:
    shown = re.sub(r"[\s\u2028\u2029]+", " ", visible(name)).strip()
    line = render(f"begin {escape(name)} end")
    assert html.unescape(line) == f"<p>begin {shown} end</p>\n"
    alone = re.fullmatch(r"(?:<p>)?(.*?)(?:</p>\n)?", render(escape(name)), re.DOTALL)
    assert alone is not None
    assert html.unescape(alone[1]) == shown
    cells = re.findall(r"<td>(.*?)</td>", render(table(("a", "b"), [(name, "x")])))
    assert [html.unescape(cell) for cell in cells] == [shown, "x"]


@given(
    st.recursive(
        st.text(max_size=20) | st.floats(-1e9, 1e9) | st.integers(-9, 9) | st.booleans(),
        lambda inner: st.dictionaries(st.from_regex(r"[a-z]{2,8}", fullmatch=True).filter(lambda k: k not in {"no", "yes", "on", "off", "null", "true", "false"}), inner, min_size=1, max_size=3) | st.lists(st.text(max_size=9), min_size=1, max_size=3),
        max_leaves=8,
    )
)  # fmt: skip
def test_yaml_reads_back(value: Any) -> None:
    safe_load = pytest.importorskip("yaml").safe_load

    def expected(v: Any) -> Any:
        if isinstance(v, dict):
            return {key: expected(inner) for key, inner in v.items()}
        if isinstance(v, list):
            return [expected(inner) for inner in v]
        if isinstance(v, str):
            return re.sub(r"[\s\u2028\u2029]+", " ", visible(v))
        return pytest.approx(v, rel=1e-5, abs=1e-300) if isinstance(v, float) else v

    assert safe_load(yaml({"key": value})) == expected({"key": value})
