"""One self-contained page: one script of its own, no address outside, readable in print and by screen readers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from medplug.report import calibrating, cases, discrimination, operating, sections
from medplug.report.explorer import script, script_source
from medplug.report.facts import ReportFacts
from medplug.report.faithfulness import faithfulness
from medplug.report.figures import page_style
from medplug.report.gallery import explanations
from medplug.report.markup import section, text
from medplug.report.summary import summary

_NOTICE = (
    "For research only. This is not a medical device: it must not be used to diagnose or treat anyone. The figures "
    "hold for images like the ones described here, and for no other hospital, device or population until tested there."
)
_HEADING = re.compile(r'<section id="([^"]+)"><h2>(.*?)</h2>')


def render_report(facts: ReportFacts) -> str:
    """The report as HTML, to be written as UTF-8."""
    parts = [
        section("summary", "Summary", summary(facts), f'<p class="notice" role="note">{_NOTICE}</p>'),
        sections.data(facts),
        sections.training(facts),
        discrimination.headline(facts),
        discrimination.curves(facts),
        discrimination.confusions(facts),
        discrimination.per_class(facts),
        calibrating.calibration(facts),
        operating.operating(facts),
        operating.clinical(facts),
        cases.subgroups(facts),
        cases.trust(facts),
        cases.patients(facts),
        cases.errors(facts),
        explanations(facts),
        faithfulness(facts),
        sections.environment(facts),
        sections.checklists(facts),
    ]
    return whole_page(facts.title, parts)


def whole_page(title: str, parts: Iterable[str]) -> str:
    """A page of finished sections, with its contents, its style and, where a section needs it, its script."""
    body = "\n".join(part for part in parts if part)
    title = text(title)
    # Nothing is fetched, and no script but the page's own can run, even if a name got through unescaped.
    interactive = 'id="explorer"' in body
    scripts = f"; script-src {script_source()}" if interactive else ""
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'{scripts}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>\n{page_style()}</style></head>\n"
        f"<body><header><h1>{title}</h1></header>\n{_contents(body)}\n<main>\n{body}\n</main>"
        f"{f'<script>{script()}</script>' if interactive else ''}</body></html>\n"
    )


def _contents(body: str) -> str:
    """The sections by name: folded on narrow screens, at the side of wide ones."""
    links = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title in _HEADING.findall(body))
    return (
        f'<nav class="contents wide-only" aria-label="Contents"><ul>{links}</ul></nav>'
        f'<details class="contents narrow-only"><summary>Contents</summary><ul>{links}</ul></details>'
    )
