"""``medplug check``: what it prints and writes, its exit codes, and what it needs not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import medplug
from medplug.cli.main import main
from medplug.errors import DataError

READER = """
from pathlib import Path

import numpy as np

from medplug.plugins import Component, Index, component, file_facts, hookimpl, load_image


@component
class Flat:
    '''Files CLASS-NUMBER.png of one folder.'''

    def can_read(self, source):
        return 1.0 if Path(source).is_dir() else 0.0

    def index(self, source):
        paths = sorted(Path(source).glob("*.png"))
        labels = [path.name.partition("-")[0] for path in paths]
        classes = tuple(sorted(set(labels)))
        targets = np.eye(len(classes), dtype=np.float32)[[classes.index(label) for label in labels]]
        return Index(tuple(p.name for p in paths), tuple(map(str, paths)), targets, classes)

    def load(self, uri):
        return load_image(uri)

    def facts(self, uri):
        return file_facts(uri)


@hookimpl
def medplug_components():
    yield Component("reader", "flat", f"{__name__}:Flat", "files of one folder")
"""


def draw(path, number):
    pixels = np.random.default_rng(number).integers(0, 256, (40, 40), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "flat_plugin.py"
    path.write_text(READER)
    (tmp_path / "plain.toml").write_text('[reader]\nuse = "auto"\n')
    return path


@pytest.fixture
def data(tmp_path):
    """Fifteen images of each of two classes, and nothing wrong with them."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(30):
        draw(folder / f"{'ill' if number % 2 else 'well'}-{number:02d}.png", number)
    return folder


@pytest.fixture
def check(plugin, monkeypatch):
    from medplug.plugins import registry as module

    monkeypatch.setenv("MEDPLUG_PLUGINS", "none")
    module.registry(refresh=True)

    def call(*arguments):
        options = ["--plugin", str(plugin), "--recipe", str(plugin.parent / "plain.toml")]
        return main(["check", *map(str, arguments), *options])

    yield call
    monkeypatch.undo()
    module.registry(refresh=True)


def test_clean_data(check, data, capsys):
    assert check(data) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{data}: 30 images, 2 classes (multiclass), reader ")
    assert lines[1].strip() == "ill 15, well 15"
    assert "      ok  all 30 images can be read" in lines
    assert any("a run would split them into train 21, validation 3, test 6" in line for line in lines)
    assert lines[-1] == "usable: nothing was found that speaks against training on these data"
    assert not any(data.glob("*.json"))


def test_warnings_are_counted_and_all_names_written(check, data, tmp_path, capsys):
    (data / "ill-99.png").write_bytes((data / "ill-01.png").read_bytes()[:300])
    assert check(data, "--out", tmp_path / "found.json") == 0
    shown = capsys.readouterr().out
    assert " warning  1 file cannot be read and is left out: ill-99.png (damaged or truncated" in shown
    assert "usable, with 1 warning: read them before you believe any result" in shown
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["usable"]
    assert written["classes"] == {"ill": 15, "well": 15}
    assert [f["names"] for f in written["findings"] if f["check"] == "readable"] == [["ill-99.png"]]
    assert [s["name"] for s in written["skipped"]] == ["ill-99.png"]
    assert check(data, "--out", tmp_path) == 0
    assert json.loads((tmp_path / "checks.json").read_text()) == written


def test_warnings_make_data_unusable_where_that_is_wanted(check, data, capsys):
    (data / "ill-99.png").write_text("no image")
    assert check(data, "--strict") == 2
    shown = capsys.readouterr().out
    assert "ok  no two images are pixel-identical" in shown  # all lines are there, not only the first warning
    assert shown.splitlines()[-1].startswith("unusable: --strict: 1 file cannot be read")


def test_contradictions_can_be_an_error(check, data, tmp_path, capsys):
    (data / "well-99.png").write_bytes((data / "ill-01.png").read_bytes())
    assert check(data) == 0
    assert "all of them are left out" in capsys.readouterr().out
    assert check(data, "--set", "checks.conflicts=error", "--out", tmp_path / "found.json") == 2
    shown = capsys.readouterr().out
    assert "   error  1 picture with pixel-identical copies under different labels" in shown
    assert "unusable: 1 picture" in shown
    assert not json.loads((tmp_path / "found.json").read_text())["usable"]


def test_data_that_cannot_be_split_are_unusable(check, data, capsys):
    for path in data.glob("ill-*.png"):
        path.write_text("no image")
    assert check(data) == 2
    shown = capsys.readouterr().out
    assert "15 files cannot be read" in shown
    assert "unusable: " in shown
    assert "at least two classes with images are needed" in shown


def test_what_is_not_there_is_told(check, tmp_path, capsys):
    assert check(tmp_path / "nowhere") == 2
    assert "there is no such file or folder" in capsys.readouterr().err


def test_a_setting_that_does_not_exist_is_told(check, data, capsys):
    assert check(data, "--set", "checks.nearby=report") == 2
    assert "near" in capsys.readouterr().err


def test_neither_jax_nor_scikit_learn_is_needed(plugin, data):
    code = (
        "import sys; from medplug.cli.main import main; "
        f"code = main(['check', {str(data)!r}, '--plugin', {str(plugin)!r}, '--recipe', {str(plugin.parent / 'plain.toml')!r}]); "
        "print(code, sorted({'jax', 'flax', 'sklearn', 'grain'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "0 []", found.stderr


# ---------------------------------------------------------------- the same from Python


def pictures(count):
    return [np.random.default_rng(i).integers(0, 256, (40, 40, 1), np.uint8) for i in range(count)]


def options(plugin):
    return {"recipe": str(plugin.parent / "plain.toml")}


def test_images_in_memory(plugin):
    checked = medplug.check(
        pictures(30), ["ill", "well"] * 15, groups=[f"p{i // 2}" for i in range(30)], **options(plugin)
    )
    assert checked.exit_code == 0
    assert list(checked.index.groups)
    assert {f.check for f in checked.lines()} >= {"readable", "duplicates", "near", "shortcut", "split"}
    same = medplug.check([*pictures(30), *pictures(1)], [*["ill", "well"] * 15, "well"], **options(plugin))
    assert [f.level for f in same.lines() if f.check == "conflicts"] == ["warning"]


def test_data_that_hold_one_class_raise(plugin):
    with pytest.raises(DataError, match="two classes"):
        medplug.check(pictures(4), ["ill"] * 4, **options(plugin))


def test_files_by_their_names_leave_nothing_behind(plugin, data):
    paths = sorted(map(str, data.glob("*.png")))
    checked = medplug.check(paths, [Path(p).name[0] for p in paths], **options(plugin))
    assert len(checked.index) == 30
    assert sorted(map(str, data.iterdir())) == paths
