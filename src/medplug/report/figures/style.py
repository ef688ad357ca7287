"""The one style of all drawings: classes in ``figures.css``, colours in the palette of ``page.css``."""

from __future__ import annotations

import re
from importlib.resources import files


def page_style() -> str:
    """The style sheet of the page: light, dark and print."""
    folder = files("medplug.report")
    return folder.joinpath("page.css").read_text("utf-8") + folder.joinpath("figures", "figures.css").read_text("utf-8")


def _light() -> str:
    """The rules of the drawings in plain CSS: one class a rule, the light palette in place of custom properties."""
    folder = files("medplug.report")
    root = re.search(r":root\s*{(.*?)}", folder.joinpath("page.css").read_text("utf-8"), re.DOTALL)
    if root is None:
        raise RuntimeError("page.css must begin with the light palette in a rule of :root")
    palette = dict(re.findall(r"(--[\w-]+):\s*([^;]+);", root[1]))
    rules = folder.joinpath("figures", "figures.css").read_text("utf-8")
    return re.sub(r"var\((--[\w-]+)\)", lambda use: palette[use[1]], rules)


STYLE = _light()
