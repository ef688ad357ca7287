"""The report in a headless browser: no error, nothing wider than the window, and the explorer counts rightly."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest

from medplug.report.page import render_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium"),
]

_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --enable-logging=stderr "
    "--disable-component-update --disable-sync --allow-file-access-from-files --virtual-time-budget=5000 --dump-dom"
)


def browse(folder: Path, page: str, script: str, width: int = 1280) -> tuple[Any, list[str]]:
    """What ``script`` finds in the document ``d`` of the untouched page in a frame, and the messages of the console."""
    (folder / "report.html").write_text(page, "utf-8")
    probe = (
        f'<iframe id="f" src="report.html" style="width:{width}px;height:4000px;border:0"></iframe><pre id="found"></pre>'
        "<script>f.onload=()=>{const d=f.contentDocument;found.textContent=JSON.stringify((()=>{"
        + script
        + "})())}</script>"
    )
    (folder / "probe.html").write_text(probe, "utf-8")
    command = ["chromium", *_FLAGS.split(), f"--user-data-dir={folder / 'profile'}", (folder / "probe.html").as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search('<pre id="found">(.*?)</pre>', result.stdout, re.DOTALL)
    assert found is not None
    return json.loads(html.unescape(found[1])), [line for line in result.stderr.splitlines() if "CONSOLE" in line]


LAYOUT = """
const e=d.documentElement, texts=[...d.querySelectorAll('svg.plot')].map(s=>[...s.querySelectorAll('text')]);
const boxes=texts.map(t=>t.map(e=>e.getBoundingClientRect()).filter(b=>b.width));
const clash=boxes.flatMap(t=>t.flatMap((a,i)=>t.slice(i+1).filter(b=>a.left<b.right&&b.left<a.right&&a.top<b.bottom&&b.top<a.bottom))).length;
const outside=[...d.querySelectorAll('svg.plot')].filter(s=>{const o=s.getBoundingClientRect();
  return [...s.querySelectorAll('text')].some(t=>{const b=t.getBoundingClientRect();return b.width&&(b.left<o.left-1||b.right>o.right+1||b.top<o.top-1||b.bottom>o.bottom+1)})}).length;
const smallest=Math.min(...[...d.querySelectorAll('svg.plot')].filter(s=>s.getBoundingClientRect().width).map(s=>11*s.getBoundingClientRect().width/s.viewBox.baseVal.width));
const contents=[...d.querySelectorAll('.contents')].filter(c=>c.getBoundingClientRect().width).length;
return {wider:e.scrollWidth-e.clientWidth, clash, outside, smallest, contents, explorer:d.getElementById('explorer').hidden, plain:d.getElementById('explorer-static').hidden};
"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["binary", "three", "multilabel", "thirty", "bare", "evil"])
def test_layout(
    name: str, width: int, tmp_path: Path, invent: Any, bare: Any, evil_names: Any, findings: tuple[str, ...]
) -> None:
    """Tables may scroll within themselves, nothing else is wider than the window; labels neither collide nor leave."""
    facts = {
        "binary": lambda: invent(("NORMAL", "PNEUMONIA"), metrics_named=20),
        "three": invent,
        "multilabel": lambda: invent(
            findings, task="multilabel", absent=("hernia",), few=("cavity",), metrics_named=20
        ),
        "thirty": lambda: invent((*findings, "a" * 80), absent=("hernia",)),
        "bare": bare,
        "evil": lambda: invent(evil_names, title=evil_names[0], config=evil_names[2], independence=evil_names[1]),
    }[name]()
    found, messages = browse(tmp_path, render_report(facts), LAYOUT, width)
    assert messages == []
    assert found.pop("smallest") >= 9  # pixels of tick labels
    assert found == {"wider": 0, "clash": 0, "outside": 0, "contents": 1, "explorer": False, "plain": True}


EXPLORE = """
const box=d.getElementById('explorer'), is=n=>box.querySelector('[data-is='+n+']'), seen=[];
const say=(element,kind)=>element.dispatchEvent(new Event(kind,{bubbles:true}));
const read=()=>seen.push(Object.fromEntries(['hit','miss','alarm','clear','sensitivity','sensitivity-interval','specificity-interval','ppv-interval','npv-interval','threshold','reset']
  .map(n=>[n,is(n).textContent]).concat([['range',Number(is('range').value)],['cx',is('mark').getAttribute('cx')],['cy',is('mark').getAttribute('cy')]])));
read();
is('class').selectedIndex=1; say(is('class'),'change'); read();
for (const v of STEPS) { is('range').value=v; say(is('range'),'input'); read(); }
is('reset').click(); read();
return seen;
"""


def test_the_explorer_follows_the_range_and_the_class(tmp_path: Path, invent: Any) -> None:
    facts = invent(("a", "b", "c"))
    counts = facts.analysis["operating"]["b"]
    last = len(counts["threshold"]) - 1
    steps = [0, 7, last // 2, last]
    page = render_report(facts)
    seen, messages = browse(tmp_path, page, EXPLORE.replace("STEPS", str(steps)))
    assert messages == []
    first, changed, *moved, reset = seen
    assert reset == changed != first
    assert changed["reset"] == "back to the stored threshold"
    stored = facts.analysis["thresholds"]["per_class"]["b"]["value"]
    nearest = min(counts["threshold"], key=lambda t: abs(t - stored))
    assert float(changed["threshold"]) == pytest.approx(nearest, rel=0.01)
    for step, found in zip(steps, moved, strict=True):
        i = last - step
        hit, alarm = counts["true_positives"][i], counts["false_positives"][i]
        miss, clear = counts["positives"] - hit, counts["negatives"] - alarm
        assert [int(found[k].replace(",", "")) for k in ("hit", "miss", "alarm", "clear")] == [hit, miss, alarm, clear]
        pairs = {"sensitivity": (hit, hit + miss), "specificity": (clear, clear + alarm), "ppv": (hit, hit + alarm), "npv": (clear, clear + miss)}  # fmt: skip
        for key, (k, n) in pairs.items():
            shown = found[f"{key}-interval"]
            if n == 0:
                assert shown == "no image to count"
                continue
            expected = binomtest(k, n).proportion_ci(0.95, "wilson")
            ends = [float(end) / 100 for end in re.findall(r"([\d.]+)\s%", shown)]
            assert ends == pytest.approx([expected.low, expected.high], abs=0.00051)
        assert (float(found["cx"]) - 42) / 190 == pytest.approx(alarm / counts["negatives"], abs=1e-6)
        assert (6 + 190 - float(found["cy"])) / 190 == pytest.approx(hit / counts["positives"], abs=1e-6)
    assert moved[-1]["threshold"] == "above 1"


def test_without_its_script_the_page_shows_the_table(tmp_path: Path, invent: Any) -> None:
    """A policy that forbids the script stands for a browser without one; the console tells of it."""
    page = re.sub("; script-src 'sha256-[^']*'", "", render_report(invent()))
    found, messages = browse(tmp_path, page, LAYOUT)
    assert (found["explorer"], found["plain"]) == (True, False)
    assert any("Content Security Policy" in message for message in messages)
