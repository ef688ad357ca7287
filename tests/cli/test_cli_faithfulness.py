"""``medplug explain RUN --faithfulness``: options that do not go together, and what is printed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from medplug.cli.faithfulness import told
from medplug.cli.main import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "5"], "--images goes with --faithfulness"),
        (["--masks", "x"], "--masks goes with --faithfulness"),
        (["--faithfulness", "--out", "x"], "--out has no effect with it"),
        (["--faithfulness", "--sheets"], "--sheets has no effect with it"),
        (["IMAGE.png", "--faithfulness"], "IMAGES has no effect with it"),
    ],
)
def test_options_that_do_not_go_together(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "RUN", *words]) == 2
    assert message in capsys.readouterr().err


def test_without_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--faithfulness"]) == 2
    assert "RUN is missing" in capsys.readouterr().err


def figure(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def test_what_is_printed() -> None:
    method = {
        "figures": {"margin": figure(0.3), "pointing": figure(0.5)},
        "beside_random": {"margin": figure(0.29)},
        "beside_centre": {"margin": {"value": 0.2, "low": None, "high": None}},
    }
    hidden = {
        "metrics": ["auc"],
        "figures": {c: {"auc": figure(0.5)} for c in ("plain", "centre_hidden", "border_only", "hidden")},
    }
    found = {
        "ranked_by": "margin", "ranking": ["cam"], "methods": {"cam": method}, "verdict": "cam is better.",
        "baselines": {"centre": {"figures": {"margin": figure(0.1)}}},
        "alarms": [{"method": "cam", "text": "looks at the frame"}],
        "probes": {"hidden_parts": hidden, "alarms": [{"text": "the border tells"}]},
    }  # fmt: skip
    lines = told(found)
    assert re.sub(" +", " ", lines[1]) == "1. cam 0.300 0.200 to 0.400 0.290 0.190 to 0.390 0.200 50 %"
    assert re.sub(" +", " ", lines[2]) == " centre 0.100 0.000 to 0.200"
    assert lines[3:] == [
        "(high is good)", "cam is better.", "alarm: cam: looks at the frame",
        "auc: whole images 0.500, centre hidden 0.500, border alone 0.500, nothing 0.500", "alarm: the border tells",
    ]  # fmt: skip
