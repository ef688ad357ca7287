"""Figures as files: stand-alone SVG, and PNG in which text is really drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from medplug.report import fonts as fonts_module
from medplug.report.export import DPI, write_figures
from medplug.report.figures import all_figures
from medplug.report.fonts import fonts

SVG = "{http://www.w3.org/2000/svg}"


def drawing(words: str, kind: str = "name") -> str:
    return f'<svg class="plot" viewBox="0 0 200 40" role="img"><text class="{kind}" x="5" y="25">{words}</text></svg>'


def ink(path: Path) -> int:
    """Pixels that are not white."""
    return int((np.asarray(Image.open(path).convert("L")) < 250).sum())


@pytest.fixture
def no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any font of its own."""
    monkeypatch.setattr(fonts_module, "_FOLDERS", {})
    monkeypatch.setattr(fonts_module, "_UNIX", ())


def test_every_figure_of_a_report_becomes_two_files(invent: Any, evil_names: tuple[str, ...], tmp_path: Path) -> None:
    figures = all_figures(invent(evil_names))
    written = write_figures(figures, tmp_path / "figures")
    assert [path.name for path in written] == [f"{name}.{kind}" for name in figures for kind in ("svg", "png")]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(path.name for path in written)
    for vector, pixels in zip(written[::2], written[1::2], strict=True):
        root = ElementTree.parse(vector).getroot()
        assert root.tag == f"{SVG}svg"
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        assert (float(root.attrib["width"]), float(root.attrib["height"])) == pytest.approx((width, height), rel=1e-5)
        style = root.find(f"{SVG}style")
        assert style is not None
        assert "var(" not in (style.text or "")
        assert not root.findall(f".//{SVG}script")
        assert not root.findall(f".//{SVG}image")
        image = Image.open(pixels)
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
        assert image.size == pytest.approx((width * DPI / 96, height * DPI / 96), abs=1)
        assert image.mode == "RGB"
        shown = np.asarray(image)
        assert (shown[:5] == 255).all()
        assert (shown[:, :5] == 255).all()
        assert 0.002 < (shown < 250).any(-1).mean() < 0.9


def test_every_class_of_the_drawing_has_a_rule(invent: Any, tmp_path: Path) -> None:
    for path in write_figures(all_figures(invent()), tmp_path)[::2]:
        root = ElementTree.parse(path).getroot()
        rules = root.findtext(f"{SVG}style") or ""
        used = {element.attrib["class"] for element in list(root) if "class" in element.attrib}
        assert used
        assert [kind for kind in used if f".{kind} {{" not in rules] == []


def test_text_draws_pixels_and_longer_text_more(no_system_fonts: None, tmp_path: Path) -> None:
    figures = {"none": drawing(""), "short": drawing("il"), "long": drawing("malignant lesion")}
    none, short, long = (ink(path) for path in write_figures(figures, tmp_path)[1::2])
    assert none == 0
    assert 50 < short < long / 3


def test_colours_of_the_style_reach_the_pixels(tmp_path: Path) -> None:
    source = '<svg viewBox="0 0 20 20"><rect class="fill-a" x="0" y="0" width="20" height="20"/></svg>'
    vector, pixels = write_figures({"box": source}, tmp_path)
    middle = Image.open(pixels).getpixel((50, 50))
    assert f".fill-a {{ fill: #{''.join(f'{v:02x}' for v in middle)}; }}" in vector.read_text("utf-8").lower()  # type: ignore[union-attr]


def test_figures_are_the_same_every_time(invent: Any, tmp_path: Path) -> None:
    figures = {"training": all_figures(invent())["training"]}
    first, second = (write_figures(figures, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_letters_that_no_font_has_are_replaced_in_the_picture_alone(no_system_fonts: None, tmp_path: Path) -> None:
    figures = {"as_it_is": drawing("1 – Ödem 肺"), "plain": drawing("1 - Odem ?")}
    written = write_figures(figures, tmp_path)
    assert "1 – Ödem 肺" in written[0].read_text("utf-8")
    assert written[1].read_bytes() == written[3].read_bytes()


def test_letters_that_the_system_has_are_taken_from_there(tmp_path: Path) -> None:
    with fonts("опухоль") as faces:
        replaced = set(faces.replaced)
    if replaced:
        pytest.skip("this machine has no font with Cyrillic letters")
    drawn, asked = write_figures({"drawn": drawing("опухоль"), "asked": drawing("???????")}, tmp_path)[1::2]
    assert ink(drawn) > 100
    assert drawn.read_bytes() != asked.read_bytes()


def test_no_fonts_are_searched_for_plain_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fonts_module, "_system_files", lambda: pytest.fail("searched"))
    write_figures({"plain": drawing("1 – specificity × 3…")}, tmp_path)


def test_only_plain_faces_are_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("B-Regular.ttf", "ASans.otf", "ASans-BoldItalic.ttf", "ASansMono.ttf", "read.me", "deep/C.ttc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr(fonts_module, "_FOLDERS", {})
    monkeypatch.setattr(fonts_module, "_UNIX", (str(tmp_path), str(tmp_path / "absent")))
    assert [Path(file).name for file in fonts_module._system_files()] == ["ASans.otf", "B-Regular.ttf", "C.ttc"]


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("a/b", drawing("x"), "cannot be the name"),
        ("..", drawing("x"), "cannot be the name"),
        ("", drawing("x"), "cannot be the name"),
        ("a", "<svg viewBox='0 0 1 1'><text></svg>", "not well-formed"),
        ("a", "<p>no drawing</p>", "no <svg> with a viewBox"),
        ("a", "<svg></svg>", "no <svg> with a viewBox"),
    ],
)
def test_wrong_figures_are_refused_before_anything_is_written(
    name: str, source: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_figures({"good": drawing("x"), name: source}, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_no_figures_are_no_files(tmp_path: Path) -> None:
    assert write_figures({}, tmp_path / "figures") == []
    assert not (tmp_path / "figures").exists()
