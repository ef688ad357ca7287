from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from medplug.report.facts import ReportFacts
from medplug.report.page import render_report

CASES: dict[str, dict[str, Any]] = {
    "binary": {"classes": ("NORMAL", "PNEUMONIA")},
    "four": {"classes": ("glioma", "meningioma", "notumor", "pituitary"), "few": ("notumor",)},
    "absent": {"classes": ("akiec", "bcc", "df", "nv"), "absent": ("df",)},
    "thirty": {"classes": tuple(f"class {i}" for i in range(30))},
    "multilabel": {"classes": tuple(f"finding {i}" for i in range(29)), "task": "multilabel", "absent": ("finding 5",)},
    "bare": {},  # these are filled in by the test
    "evil": {},
}


class Page(HTMLParser):
    """Checks that tags close in order, and collects what the page is made of."""

    VOID = frozenset({"meta", "img", "br", "path", "circle", "rect", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.text).append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


def facts_of(
    name: str, invent: Callable[..., ReportFacts], bare: Callable[..., ReportFacts], evil_names: tuple[str, ...]
) -> ReportFacts:
    arguments = dict(CASES[name])
    if name == "evil":
        arguments = {
            "classes": evil_names,
            "title": evil_names[0],
            "config": evil_names[2],
            "independence": evil_names[1],
            "independence_level": evil_names[2],
        }
    return bare() if name == "bare" else invent(**arguments)


@pytest.mark.parametrize("name", CASES)
def test_page_is_well_formed_small_and_fetches_nothing(name: str, invent: Any, bare: Any, evil_names: Any) -> None:
    text = render_report(facts_of(name, invent, bare, evil_names))
    assert len(text.encode("utf-8")) < 5_000_000
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"link", "iframe", "object", "base", "form"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        assert not any(key.startswith("on") for key in attributes)
        assert (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
        if "href" in attributes:
            assert (attributes["href"] or "").removeprefix("#") in ids
    assert "url(" not in text
    assert "@import" not in text


@pytest.mark.parametrize("name", ["four", "evil"])
def test_one_script_is_allowed_and_it_is_the_pages_own(name: str, invent: Any, bare: Any, evil_names: Any) -> None:
    page = Page(render_report(facts_of(name, invent, bare, evil_names)))
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    (policy,) = [a["content"] or "" for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert sum(tag == "script" for tag, _ in page.tags) == 1


def test_a_page_without_the_explorer_allows_no_script(invent: Any) -> None:
    facts = invent()
    text = render_report(invent(analysis={k: v for k, v in facts.analysis.items() if k != "operating"}))
    page = Page(text)
    assert not page.scripts
    assert "script-src" not in text


@pytest.mark.parametrize("name", CASES)
def test_every_class_has_its_row_curves_and_image(name: str, invent: Any, bare: Any, evil_names: Any) -> None:
    facts = facts_of(name, invent, bare, evil_names)
    page = Page(render_report(facts))
    k, shown = len(facts.classes), len(facts.explanations) + len(facts.errors)
    count = {tag: sum(t == tag for t, _ in page.tags) for tag in ("article", "img", "option")}
    assert count == {"article": shown, "img": 2 * shown, "option": k}
    plots = [a.get("aria-label") or "" for t, a in page.tags if t == "svg" and a.get("class") == "plot"]
    for kind in ("ROC curve of", "Precision-recall curve of"):
        assert sum(p.startswith(kind) for p in plots) == k
    absent = sum(facts.test["per_class"][c]["n"] == 0 for c in facts.classes)
    assert sum(p.startswith("Decision curve of") for p in plots) == k - absent
    whole = int(facts.task == "multiclass")  # the diagram of the most probable class
    assert sum(p.startswith("Reliability diagram") for p in plots) == k + whole
    for c in facts.classes:
        assert page.text.count(c) >= 3 or name == "evil"


def test_sections_stand_in_order_and_in_the_contents(invent: Any) -> None:
    page = Page(render_report(invent()))
    sections = [a["id"] for t, a in page.tags if t == "section"]
    assert sections == [
        "summary", "data", "training", "results", "curves", "confusion", "classes", "calibration", "thresholds", "use",
        "subgroups", "trust", "patients", "errors", "explanations", "environment", "checklists",
    ]  # fmt: skip
    links = [(a["href"] or "")[1:] for t, a in page.tags if t == "a" and not (a["href"] or "").startswith("#method")]
    assert links == [*sections, *sections]  # once for wide screens, once for narrow ones


def test_independence_stands_above_every_table_of_metrics(invent: Any) -> None:
    text = render_report(invent())
    line = '<p class="level-line"><strong>Independence: group (given).</strong>'
    for part in re.findall(r'<section id="(\w+)">(.*?)</section>', text, re.DOTALL):
        if 'table class="figures' in part[1] and part[0] not in ("use", "trust"):
            assert part[1].index(line) < part[1].index("<table"), part[0]
    assert "What test and training images share is not known." in render_report(invent(independence_level="unknown"))


def test_strangers_names_are_shown_not_obeyed(invent: Any, bare: Any, evil_names: Any) -> None:
    facts = facts_of("evil", invent, bare, evil_names)
    text = render_report(facts)
    page = Page(text)
    for evil in evil_names[:3]:
        assert evil in page.words
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", text)
    assert r"\u202eesrever\u0000 \ud800" in page.words
    assert all((a.get("src") or "").startswith("data:") for t, a in page.tags if t == "img")


def test_summary_of_two_classes_names_both(invent: Any) -> None:
    facts = invent(("NORMAL", "PNEUMONIA"))
    test = facts.metrics["test"]
    value = f"{100 * test['macro']['ranking']['value']:.1f} %"
    words = Page(render_report(facts)).words
    assert f"It was tested on {test['n']} images that the model was not trained on." in words
    assert (
        f"In this test it ranks a random image of PNEUMONIA above a random image of NORMAL in {value} of pairs (95 % interval"
        in words
    )
    right = sum(facts.confusion[i][i] for i in range(2))
    assert f"the labelled one for {right} of {test['n']} images" in words


def test_summary_of_confusions_by_hand(invent: Any) -> None:
    facts = invent(("a", "b", "c"), confusion=[[8, 2, 0], [4, 5, 1], [0, 0, 4]])
    words = Page(render_report(facts)).words
    # Wilson: 17 of 24 is 0.7083 (0.5083 to 0.8509), 5 of 10 is 0.5 (0.2366 to 0.7634)
    assert (
        "the labelled one for 17 of 24 images (70.8 %, 95 % interval 50.8 % to 85.1 %); always answering a would be right for "
        "10 (41.7 %)" in words
    )
    first = words.index(
        "Of 10 images of b, 5 are taken for something else (50.0 %, 95 % interval 23.7 % to 76.3 %), most often for a (4)."
    )
    second = words.index("Of 10 images of a, 2 are taken for b (20.0 %")
    assert first < second
    assert "images of c, " not in words


def test_summary_does_not_tell_the_share_of_right_answers_twice(invent: Any) -> None:
    facts = invent(("a", "b"), confusion=[[8, 2], [0, 4]])
    readings = {"ranking": "ranks {one} above {other} in {value} of pairs", "accuracy": "is right about {value}"}
    for value, told in ((12 / 14, False), (0.5, True)):
        macro = {**facts.metrics["test"]["macro"], "accuracy": {"value": value}}
        metrics = {"test": {**facts.metrics["test"], "macro": macro}}
        words = Page(
            render_report(invent(("a", "b"), confusion=facts.confusion, metrics=metrics, readings=readings))
        ).words
        assert ("is right about" in words) == told


def test_shares_of_clustered_images_have_no_interval_of_independent_ones(invent: Any) -> None:
    facts = invent(("a", "b"), confusion=[[8, 2], [0, 4]])
    test = {**facts.metrics["test"], "unit": "groups", "units": 7}
    words = Page(render_report(invent(("a", "b"), confusion=facts.confusion, metrics={"test": test}))).words
    assert "the labelled one for 12 of 14 images (85.7 %); always" in words
    assert "of 7 groups (such as patients), which the intervals take into account" in words
    assert "with an effective number of images: those of one group (such as a patient) are not independent" in words


def test_an_analysis_without_intervals_of_operating_points_is_shown_without(invent: Any) -> None:
    """As earlier versions wrote it."""
    facts = invent(("a", "b"))
    older = {c: {k: v for k, v in e.items() if k != "intervals"} for c, e in facts.analysis["operating"].items()}
    page = render_report(invent(("a", "b"), analysis={**facts.analysis, "operating": older}))
    assert "No intervals here: these figures are of an earlier version" in Page(page).words
    static = page[page.index('id="explorer-static"') : page.index('<section id="use"')]
    assert '<span class="interval">' not in static
    assert 'data-ppv-low=""' in page


def test_summary_of_labels_by_hand(invent: Any) -> None:
    facts = invent(("a", "b"), task="multilabel", decisions=[[6, 1, 2, 9], [3, 4, 1, 10]])
    words = Page(render_report(facts)).words
    assert "a random image with a label above a random image without it" in words
    assert "Of 12 labels that the test images have, it reports 9 (75.0 %), and 5 that they do not have" in words
    assert "Of 4 images with b, 1 is not reported (25.0 %" in words


def test_summary_tells_how_sure_the_model_is(invent: Any) -> None:
    facts = invent()
    one = {
        "low": 0.5,
        "high": 1.0,
        "predicted": 0.9,
        "observed": 0.6,
        "observed_low": 0.4,
        "observed_high": 0.8,
        "n": 10,
    }
    other = {**one, "predicted": 0.6, "observed": 0.6, "n": 20}
    calibration = {**facts.analysis["calibration"]["before"], "top_label": [one, other]}
    analysis = {**facts.analysis, "calibration": {"before": calibration, "after": None}}
    words = Page(render_report(invent(analysis=analysis))).words
    assert (
        "The model is too sure of itself: on average it gives its answer a probability of 70.0 %, and is right in 60.0 %."
        in words
    )


def test_few_absent_and_inverted_are_said(invent: Any) -> None:
    facts = invent(("a", "b", "c", "d"), few=("b",), absent=("c",))
    question = "The AUC of a is 0.31: are labels or scores inverted?"
    test = {**facts.metrics["test"], "warnings": [question]}
    words = Page(render_report(invent(("a", "b", "c", "d"), few=("b",), absent=("c",), metrics={"test": test}))).words
    assert "Fewer than 10 test images stand behind b: the figures there say little." in words
    assert "No test image of c: nothing is known" in words
    assert "not defined: no positive samples in the test split" in words
    assert "The means are without c: not defined there." in words
    assert "No test image carries the label c." in words
    assert words.count(question) == 2  # in the summary and above the figures


def test_figures_carry_companions_sides_and_the_null_of_the_ece(invent: Any) -> None:
    words = Page(render_report(invent())).words
    assert "perfectly calibrated 0.053" in words
    assert "0.970 to 1.000, one-sided" in words
    assert "null value 0.053, p < 0.001" in words


def test_thresholds_come_with_trust_and_only_the_figures_they_change(invent: Any) -> None:
    facts = invent()
    words = Page(render_report(facts)).words
    for c in facts.classes:
        assert facts.analysis["thresholds"]["per_class"][c]["trust"] in words
    beside = re.search("Headline figures at the stored thresholds(.*?)Threshold explorer", words)
    assert beside is not None
    assert "F1" in beside[1]
    assert "ranking" not in beside[1]


def test_static_table_of_operating_points_by_hand(invent: Any) -> None:
    facts = invent(("a", "b"))
    counts = {
        "threshold": [1.1, 0.5, 0.0],
        "true_positives": [0, 6, 8],
        "false_positives": [0, 3, 12],
        "positives": 8,
        "negatives": 12,
        "intervals": {
            rate: {
                "low": [None if rate == "ppv" else 0.0, 0.1 + i / 10, 0.2],
                "high": [None if rate == "ppv" else 0.4, 0.9 + i / 100, 1.0],
            }
            for i, rate in enumerate(("sensitivity", "specificity", "ppv", "npv"))
        },
    }
    analysis = {**facts.analysis, "operating": {"a": counts}, "thresholds": {}}
    text = render_report(invent(("a", "b"), analysis=analysis))
    rows = re.findall("<tr>(.*?)</tr>", text[text.index('id="explorer-static"') :], re.DOTALL)
    cells = [re.findall("<td>(.*?)</td>", r) for r in rows]
    at_half = next(c for c in cells if c and c[0] == "0.5")
    assert at_half[1:5] == ["6", "2", "3", "9"]
    assert [c[: c.index("<")] for c in at_half[5:]] == ["75.0\u00a0%", "75.0\u00a0%", "66.7\u00a0%", "81.8\u00a0%"]
    assert [c[c.index(">") + 1 : -7] for c in at_half[5:]] == [
        f"{10 * i}.0\u00a0% to {89 + i}.0\u00a0%" for i in (1, 2, 3, 4)
    ]
    # The script reads the same bounds, in tenths of a percent.
    assert 'data-specificity-low="0 200 200"' in text
    assert 'data-ppv-high="- 920 1000"' in text


def test_suppressed_subgroups_show_no_figure(invent: Any) -> None:
    facts = invent()
    rows = [dict(r) for r in facts.analysis["subgroups"]["sex"]["rows"]]
    rows[-1] |= {"name": "rare", "macro": {"ranking": {"value": 0.123456}}}
    groups = {"sex": {**facts.analysis["subgroups"]["sex"], "rows": rows}}
    text = render_report(invent(analysis={**facts.analysis, "subgroups": groups}))
    assert "Not shown, too few images: rare (4)." in Page(text).words
    assert "0.123" not in text[text.index('<section id="subgroups"') : text.index('<section id="trust"')]
    assert "ranking: worst for not stated" in Page(text).words


def test_a_map_without_evidence_and_a_wrong_prediction_are_said(invent: Any) -> None:
    facts = invent(("a", "b", "c"), errors=())
    words = Page(render_report(facts)).words
    assert (
        sum(not e.evidence for e in facts.explanations) == words.count("No value of the map speaks for the class") == 1
    )
    assert sum(e.explained not in e.labels for e in facts.explanations) == words.count("which is not its label") == 1


def test_an_error_without_a_map_shows_its_picture_alone(invent: Any) -> None:
    import dataclasses

    facts = invent(("a", "b", "c"), explanations=())
    error = dataclasses.replace(facts.errors[0], overlay=b"")
    page = Page(render_report(invent(("a", "b", "c"), explanations=(), errors=(error,))))
    assert sum(t == "img" for t, _ in page.tags) == 1
    assert "Predicted: b, with 93.0 %, which is not its label. Label: a." in page.words


def test_data_and_skipped_files_are_counted(invent: Any) -> None:
    facts = invent(("a", "b"))
    words = Page(render_report(facts)).words
    assert "Left out: 31 files" in words
    assert "30 × a mask by its name: a/mask_0.png, a/mask_1.png, a/mask_2.png and 27 more" in words
    assert f"Train {facts.split_sizes['train']} images" in words
    assert "warning the smallest class has 9 images" in words


def test_checklists_are_counted_and_never_guessed(invent: Any) -> None:
    words = Page(render_report(invent())).words
    assert "CLAIM 2024: 1 filled from the run, 1 not recorded, 1 for the authors" in words


def test_a_run_without_a_test_part_or_pictures(invent: Any) -> None:
    facts = invent(
        metrics={}, analysis={}, confusion=None, explanations=(), errors=(), history=(), checks={}, manifest={}, config="", checklists=()
    )  # fmt: skip
    page = Page(render_report(facts))
    assert "No test figures: the data have no test part." in page.words
    assert [a["id"] for t, a in page.tags if t == "section"] == ["summary", "data"]


def test_each_missing_analysis_leaves_its_section_out_and_nothing_else(invent: Any) -> None:
    facts = invent()
    whole = {a["id"] for t, a in Page(render_report(facts)).tags if t == "section"}
    gone = {
        "curves": {"curves"}, "operating": set(), "calibration": {"calibration"}, "thresholds": set(), "clinical": {"use"},
        "subgroups": {"subgroups"}, "conformal": set(), "novelty": set(), "mistakes": set(),
    }  # fmt: skip
    for key, missing in gone.items():
        rest = {k: v for k, v in facts.analysis.items() if k != key}
        page = Page(render_report(invent(analysis=rest)))
        assert whole - {a["id"] for t, a in page.tags if t == "section"} == missing, key


def test_bare_predictions_are_reported_and_what_was_skipped_is_said(bare: Any) -> None:
    page = Page(render_report(bare()))
    assert "Probabilities were not recalibrated: no validation predictions" in page.words
    assert "No thresholds were chosen: no validation predictions" in page.words
    assert "The weights learn from the training part" not in page.words
    assert "back to 0.5" not in page.words  # the script writes it
    assert "It is not known whether patients of the test images were also used for training" in page.words


def test_facts_with_nothing_but_a_title_make_a_page() -> None:
    page = Page(render_report(ReportFacts("nothing", "multiclass", ("a", "b"))))
    assert "No test figures" in page.words


def test_counts_come_from_the_analysis_where_the_facts_have_none(invent: Any) -> None:
    facts = invent(("a", "b"))
    analysis = {**facts.analysis, "confusion": [[8, 2], [1, 9]]}
    words = Page(render_report(invent(("a", "b"), confusion=None, analysis=analysis))).words
    assert "the labelled one for 17 of 20 images" in words


def test_pictures_are_reduced_until_the_page_is_small(invent: Any) -> None:
    from medplug.report import gallery

    facts = invent(tuple(f"class {i}" for i in range(5)), size=(420, 560))
    full = render_report(facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "BUDGET", 150_000)
        small = render_report(facts)
    assert len(re.findall("base64,", full)) == 2 * (len(facts.explanations) + len(facts.errors))
    assert sum(map(len, re.findall('base64,[^"]*', small))) < 150_000 < sum(map(len, re.findall('base64,[^"]*', full)))
    edges = [[int(e) for e in re.findall(r"reduced to (\d+) pixels", text)] for text in (full, small)]
    assert edges[0] == [360, 360]
    assert max(edges[1]) < 360
