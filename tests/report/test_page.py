from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
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
    "evil": {},  # filled in by the test
}


class Page(HTMLParser):
    """Checks that tags close in order, and collects what the page is made of."""

    VOID = frozenset({"meta", "img", "br", "path", "circle", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
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
        self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.text))


def facts_of(name: str, invent: Callable[..., ReportFacts], evil_names: tuple[str, ...]) -> ReportFacts:
    arguments = dict(CASES[name])
    if name == "evil":
        arguments = {
            "classes": evil_names,
            "title": evil_names[0],
            "config": evil_names[2],
            "independence": evil_names[1],
        }
    return invent(**arguments)


@pytest.mark.parametrize("name", CASES)
def test_page_is_well_formed_small_and_fetches_nothing(name: str, invent: Any, evil_names: Any) -> None:
    text = render_report(facts_of(name, invent, evil_names))
    assert len(text.encode("utf-8")) < 5_000_000
    page = Page(text)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for _, attributes in page.tags:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href"):
            assert (attributes.get(key) or "data:").startswith("data:image/jpeg;base64,") or key not in attributes
    assert "url(" not in text
    assert "@import" not in text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", CASES)
def test_every_class_has_its_row_curve_and_image(name: str, invent: Any, evil_names: Any) -> None:
    facts = facts_of(name, invent, evil_names)
    page = Page(render_report(facts))
    k, shown = len(facts.classes), len(facts.explanations)
    count = {tag: sum(t == tag for t, _ in page.tags) for tag in ("article", "img", "h2")}
    assert count == {"article": shown, "img": 2 * shown, "h2": 8}
    plots = [a.get("aria-label", "") for t, a in page.tags if t == "svg" and a.get("class") == "plot"]
    assert len(plots) == k + 1
    for c in facts.classes:
        assert page.text.count(c) >= 3 or name == "evil"


def test_strangers_names_are_shown_not_obeyed(invent: Any, evil_names: Any) -> None:
    facts = facts_of("evil", invent, evil_names)
    text = render_report(facts)
    page = Page(text)
    assert evil_names[0] in page.words
    assert evil_names[1] in page.words
    assert evil_names[2] in page.words
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", text)
    assert r"\u202eesrever\u0000 \ud800" in page.words
    assert all(a.get("src", "").startswith("data:") for t, a in page.tags if t == "img")


def test_summary_of_two_classes_names_both(invent: Any) -> None:
    facts = invent(("NORMAL", "PNEUMONIA"))
    test = facts.metrics["test"]
    value = f"{100 * test['macro']['ranking']['value']:.1f} %"
    words = Page(render_report(facts)).words
    assert (
        f"In the test set of {test['n']} images, the model ranks a random image of PNEUMONIA above a random image of NORMAL "
        f"in {value} of pairs (95 % interval" in words
    )
    right = sum(facts.confusion[i][i] for i in range(2))
    assert f"the labelled one for {right} of {test['n']} images" in words


def test_summary_of_confusions_by_hand(invent: Any) -> None:
    facts = invent(("a", "b", "c"), confusion=[[8, 2, 0], [5, 5, 0], [0, 0, 4]])
    words = Page(render_report(facts)).words
    assert "the labelled one for 17 of 24 images (70.8 %); always answering a would be right for 10 (41.7 %)" in words
    assert "The most frequent error: 5 of 10 images of b taken for a." in words


def test_summary_of_labels_by_hand(invent: Any) -> None:
    facts = invent(("a", "b"), task="multilabel", decisions=[[6, 1, 2, 9], [3, 4, 1, 10]])
    words = Page(render_report(facts)).words
    assert "a random image with a finding above a random image without it" in words
    assert (
        "Of 12 findings that the test images are labelled with, it reports 9 (75.0 %), and 5 that they are not" in words
    )


def test_few_and_absent_are_said(invent: Any) -> None:
    words = Page(render_report(invent(("a", "b", "c", "d"), few=("b",), absent=("c",)))).words
    assert "Fewer than 10 test images stand behind b: the figures there say little." in words
    assert "No test image of c: nothing is known" in words
    assert "not defined: no positive samples in the test split" in words
    assert "The mean of ranking is without c: not defined there." in words
    assert "No test image carries the label c." in words


def test_a_map_without_evidence_and_a_wrong_prediction_are_said(invent: Any) -> None:
    facts = invent(("a", "b", "c"))
    words = Page(render_report(facts)).words
    assert (
        sum(not e.evidence for e in facts.explanations) == words.count("No value of the map speaks for the class") == 1
    )
    assert sum(e.explained not in e.labels for e in facts.explanations) == words.count("which is not its label") == 1


def test_data_and_skipped_files_are_counted(invent: Any) -> None:
    facts = invent(("a", "b"))
    words = Page(render_report(facts)).words
    assert "Left out: 31 files" in words
    assert "30 × a mask by its name: a/mask_0.png, a/mask_1.png, a/mask_2.png and 27 more" in words
    assert f"Train {facts.split_sizes['train']} images" in words
    assert "warning the smallest class has 9 images" in words


def test_a_run_without_a_test_part_or_pictures(invent: Any) -> None:
    facts = invent(metrics={}, explanations=(), history=(), roc={}, checks={}, manifest={}, config="")
    page = Page(render_report(facts))
    assert "No test figures: the data have no test part." in page.words
    assert sum(tag == "h2" for tag, _ in page.tags) == 3  # summary, data, split


def test_pictures_are_reduced_until_the_page_is_small(invent: Any) -> None:
    from medplug.report import gallery

    facts = invent(tuple(f"class {i}" for i in range(5)), size=(420, 560))
    full = render_report(facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gallery, "BUDGET", 150_000)
        small = render_report(facts)
    assert len(small) < 250_000 < len(full)
    edges = [int(re.search(r"reduced to (\d+) pixels", text)[1]) for text in (full, small)]  # type: ignore[index]
    assert edges[0] == 360 > edges[1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_wider_than_the_window(name: str, width: int, tmp_path: Path, invent: Any, evil_names: Any) -> None:
    """A browser lays the page out inside a frame of the width; tables may scroll within themselves only."""
    text = render_report(facts_of(name, invent, evil_names))
    (tmp_path / "report.html").write_text(text, "utf-8")
    probe = (
        f'<iframe id="f" src="report.html" style="width:{width}px;height:4000px;border:0"></iframe><script>'
        "f.onload=()=>{const d=f.contentDocument,e=d.documentElement,w=e.scrollWidth-e.clientWidth;"
        "const clash=[...d.querySelectorAll('svg.plot')].flatMap(s=>{const t=[...s.querySelectorAll('text')].map(e=>e.getBoundingClientRect());"
        "return t.flatMap((a,i)=>t.slice(i+1).filter(b=>a.left<b.right&&b.left<a.right&&a.top<b.bottom&&b.top<a.bottom))}).length;"
        "document.title=`wider=${w} clashes=${clash}`;document.body.append(document.title)}</script>"
    )
    (tmp_path / "probe.html").write_text(probe, "utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --allow-file-access-from-files --virtual-time-budget=5000 --dump-dom"
    )
    command = [
        "chromium",
        *flags.split(),
        f"--user-data-dir={tmp_path / 'profile'}",
        (tmp_path / "probe.html").as_uri(),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "wider=0 clashes=0" in result.stdout
