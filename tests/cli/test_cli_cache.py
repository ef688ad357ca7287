"""``medplug cache``: what it tells, and what it removes."""

import os
import time

import numpy as np
import pytest

from medplug.cli.main import main
from medplug.data.decode import DecodeOptions
from medplug.data.store import cache, open_store


class Drawn:
    def load(self, uri):
        return np.full((4, 4, 1), int(uri), np.uint8)


@pytest.fixture
def filled(quiet):
    open_store(Drawn(), "r", ("1", "2"), DecodeOptions(8, 1), 1, quiet, source="my images")
    for entry in cache.entries():
        os.utime(entry.path / "lock", (time.time() - 3 * 86400,) * 2)


def run(capsys, *arguments):
    code = main(["cache", *arguments])
    return code, capsys.readouterr().out


def test_info_of_nothing(capsys, tmp_path):
    code, told = run(capsys, "info")
    assert code == 0
    assert str(tmp_path / "cache" / "pixels") in told
    assert "0 bytes in 0 entries; at most 50.0 GiB" in told


def test_info(capsys, filled, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPLUG_CACHE_LIMIT", "3GiB")
    (tmp_path / "cache" / "weights").mkdir()
    code, told = run(capsys, "info")
    assert code == 0
    assert "in 2 entries; at most 3.0 GiB" in told
    assert "2 images of my images, decoded to 8 x 8 x 1" in told
    assert "facts and thumbnails of 2 images of my images" in told
    assert "in use" not in told
    assert "weights" in told


def test_info_tells_what_is_in_use(capsys, quiet):
    store = open_store(Drawn(), "r", ("1", "2"), DecodeOptions(8, 1), 1, quiet)
    assert run(capsys, "info")[1].count(", in use") == 2
    assert "left, because a process uses it" in run(capsys, "clear")[1]
    del store
    assert ", in use" not in run(capsys, "info")[1]


def test_clear_by_age(capsys, filled):
    assert run(capsys, "clear", "--older-than", "5") == (0, "removed 0 entries, 0 bytes\n")
    code, told = run(capsys, "clear", "--older-than", "2.5")
    assert (code, told.startswith("removed 2 entries, ")) == (0, True)
    assert cache.entries() == []


def test_clear_all(capsys, filled):
    assert run(capsys, "clear")[1].startswith("removed 2 entries, ")


@pytest.mark.parametrize("days", ["-1", "x", "inf", "nan"])
def test_no_number_of_days(capsys, days):
    with pytest.raises(SystemExit) as caught:
        main(["cache", "clear", "--older-than", days])
    assert caught.value.code == 2
    assert f"'{days}' is no number of days" in capsys.readouterr().err


def test_a_wrong_limit(capsys, monkeypatch):
    monkeypatch.setenv("MEDPLUG_CACHE_LIMIT", "much")
    assert main(["cache", "info"]) == 2
    assert "write a size such as 20GiB" in capsys.readouterr().err
