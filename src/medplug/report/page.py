"""One self-contained page: no script, no address outside, readable in print and by screen readers."""

from __future__ import annotations

from importlib.resources import files

from medplug.report import sections
from medplug.report.facts import ReportFacts
from medplug.report.gallery import explanations
from medplug.report.markup import section, text
from medplug.report.summary import summary

_NOTICE = (
    "For research only. This is not a medical device: it must not be used to diagnose or treat anyone. The figures "
    "hold for images like the ones described here, and for no other hospital, device or population until tested there."
)


def render_report(facts: ReportFacts) -> str:
    """The report as HTML, to be written as UTF-8."""
    parts = [
        section("summary", "Summary", summary(facts), f'<p class="notice" role="note">{_NOTICE}</p>'),
        sections.data(facts),
        sections.split(facts),
        sections.training(facts),
        sections.results(facts),
        explanations(facts),
        sections.environment(facts),
        sections.configuration(facts),
    ]
    # No script can run even if a name got through unescaped, and nothing is fetched.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    style = files("medplug.report").joinpath("page.css").read_text("utf-8")
    title = text(facts.title)
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>\n{style}</style></head>\n"
        f"<body><header><h1>{title}</h1></header>\n<main>\n{body}\n</main></body></html>\n"
    )
