"""A run that is killed goes on, and ends with the same bits as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TARGET = Path(__file__).with_name("resume_target.py")
RESULTS = (
    "weights.safetensors",
    "predictions.csv",
    "predictions.validation.csv",
    "metrics.json",
    "split.csv",
    "config.toml",
)


def start(out, sleep_after, *options):
    command = [sys.executable, str(TARGET), str(out), str(sleep_after), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def finish(out, *options):
    process = start(out, 0, *options)
    process.communicate(timeout=300)
    assert process.returncode == 0


def kill_after(out, epoch, wait):
    process = start(out, epoch)
    for line in process.stdout:
        if line.strip() == f"epoch {epoch}":
            break
    time.sleep(wait)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    os.environ["MEDPLUG_CACHE"] = str(folder / "cache")
    finish(folder / "run")
    return folder / "run"


# Epoch 2 is in phase one, epoch 5 in phase two. The observer is called before the checkpoint is on the disk: with no
# wait the kill hits the writing, with a second the checkpoint is complete.
@pytest.mark.parametrize(("epoch", "wait"), [(2, 1.0), (5, 1.0), (3, 0.0), (4, 0.02), (4, 0.1)])
def test_killed_and_resumed_equals_uninterrupted(uninterrupted, tmp_path, epoch, wait):
    out = tmp_path / "run"
    kill_after(out, epoch, wait)
    assert not (out / "weights.safetensors").exists()
    finish(out, "--resume")
    for name in RESULTS:
        assert (out / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    assert list((out / "checkpoints").glob("*tmp*")) == []
    history = [line.split(",")[:4] for line in (out / "history.csv").read_text().splitlines()]
    expected = [line.split(",")[:4] for line in (uninterrupted / "history.csv").read_text().splitlines()]
    assert history == expected
    assert "resumed" in json.loads((out / "manifest.json").read_text())


def test_a_finished_run_can_be_resumed_and_stays_the_same(uninterrupted):
    before = (uninterrupted / "weights.safetensors").read_bytes()
    finish(uninterrupted, "--resume")
    assert (uninterrupted / "weights.safetensors").read_bytes() == before
