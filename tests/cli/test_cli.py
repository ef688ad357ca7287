"""The command line: what it prints, its exit codes, and that it starts fast."""

import json
import os
import subprocess
import sys

import pytest

from medplug.cli.doctor import gpu_problems
from medplug.cli.main import main
from medplug.plugins.kinds import KINDS

HEAVY = ("jax", "flax", "optax", "orbax", "grain", "sklearn", "scipy", "numpy", "PIL")
FAKE_PLUGIN = """
from medplug.plugins import hookimpl
from medplug.testing import fakes

@hookimpl
def medplug_components():
    yield from fakes.fake_registry().components()
"""


@pytest.fixture
def fake_file(tmp_path):
    """A ``--plugin`` file that offers the fakes, so that commands can be tested without any plugin installed."""
    path = tmp_path / "fakes_plugin.py"
    path.write_text(FAKE_PLUGIN)
    return str(path)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    from medplug.plugins import registry as module

    monkeypatch.setenv("MEDPLUG_PLUGINS", "none")
    module.registry(refresh=True)
    yield
    monkeypatch.undo()
    module.registry(refresh=True)


def imported_by(code):
    script = f"import sys\n{code}\nprint(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"MEDPLUG_PLUGINS": "*"},
    )
    return found.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments", [["plugins", "list"], ["plugins", "show", "reader"], ["plugins", "list", "--json"]]
)
def test_listing_imports_nothing_slow(arguments):
    assert imported_by(f"from medplug.cli.main import main\nmain({arguments!r})") == ""


def test_importing_the_package_or_the_door_imports_nothing_slow():
    assert imported_by("import medplug\nimport medplug.plugins\nprint()") == ""


def test_that_test_can_fail():
    assert imported_by("import medplug\nmedplug.Pipeline\nprint()") != ""


def test_list_shows_components_and_problems(fake_file, capsys):
    assert main(["plugins", "list", "--plugin", fake_file]) == 0
    shown = capsys.readouterr().out
    assert "tiny_net" in shown
    assert "architecture" in shown
    assert main(["plugins", "list", "--kind", "losses", "--plugin", fake_file]) == 0
    shown = capsys.readouterr().out
    assert "simple_cross_entropy" in shown
    assert "tiny_net" not in shown


def test_list_as_json(fake_file, capsys):
    assert main(["plugins", "list", "--json", "--kind", "metric", "--plugin", fake_file]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert {c["name"] for c in listing["components"]} == {"simple_accuracy", "simple_auc"}
    assert {p["stage"] for p in listing["problems"]} <= {"blocked"}


def test_an_empty_list_says_what_to_install(capsys):
    assert main(["plugins", "list"]) == 0
    assert "pip install 'medplug[standard]'" in capsys.readouterr().out


def test_show_a_component(fake_file, capsys):
    assert main(["plugins", "show", "tiny-net", "--plugin", fake_file]) == 0
    shown = capsys.readouterr().out
    for words in (
        "architecture/tiny_net",
        "width (int, default 8, >= 1)",
        "channels after the first convolution",
        "file-fakes-plugin",
    ):
        assert words in shown


@pytest.mark.parametrize("kind", KINDS)
def test_show_a_kind_tells_its_contract(kind, capsys):
    assert main(["plugins", "show", kind]) == 0
    shown = capsys.readouterr().out
    assert "contract 1" in shown
    assert "hookimpl" in shown
    assert ("samples: N unique names" in shown) == (kind == "reader")
    if kind not in ("observer", "recipe"):
        assert "float32" in shown


def test_show_the_unknown(fake_file, capsys):
    assert main(["plugins", "show", "tiny_nett", "--plugin", fake_file]) == 2
    assert "did you mean 'tiny_net'?" in capsys.readouterr().err


def test_help_config_lists_every_key(fake_file, capsys):
    assert main(["run", "--help-config", "--recipe", "fake", "--plugin", fake_file]) == 0
    shown = capsys.readouterr().out
    for key in (
        "training.epochs = 40",
        "split.seed = none",
        "architecture.width = 8",
        "simple_accuracy",
        "augment.probability",
    ):
        assert key in shown


FAST = [
    "training.epochs=2",
    "training.frozen_epochs=1",
    "evaluation.resamples=50",
    "split.train=0.6",
    "split.validation=0.2",
]


def run(out, fake_file, *more):
    settings = [word for key in FAST for word in ("--set", key)]
    return main(["run", "memory", "--recipe", "fake", "--out", str(out), "--plugin", fake_file, *settings, *more])


def test_run_predict_explain(fake_file, tmp_path, capsys, rng):
    from PIL import Image

    out = tmp_path / "run"
    assert (
        run(
            out,
            fake_file,
            "--seed",
            "3",
            "--size",
            "24",
            "--set",
            "augmenters.use=mirror",
            "--set",
            "metrics.use=simple_auc",
        )
        == 0
    )
    assert "report: " in capsys.readouterr().err
    assert list(json.loads((out / "metrics.json").read_text())["test"]["macro"]) == ["simple_auc"]
    picture = tmp_path / "a b (1).png"
    Image.fromarray(rng.integers(0, 256, (30, 20), dtype="uint8")).save(picture)
    (tmp_path / "broken.png").write_text("no image")
    assert main(["predict", str(out), str(picture), str(tmp_path / "broken.png"), "--plugin", fake_file]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].startswith("sample,class0,class1,class2,medplug:decision")
    assert len(lines) == 2
    assert "broken.png is left out: not an image file" in shown.err
    assert main(["predict", str(out), str(picture), "--out", str(tmp_path / "p.csv"), "--plugin", fake_file]) == 0
    assert (tmp_path / "p.csv").read_text().startswith('"sample"')
    assert (
        main(
            [
                "explain",
                str(out),
                str(picture),
                "--method",
                "input-gradient",
                "--out",
                str(tmp_path / "maps"),
                "--plugin",
                fake_file,
            ]
        )
        == 0
    )
    assert len(list((tmp_path / "maps").glob("*.png"))) == 1
    assert main(["explain", str(out), "--plugin", fake_file]) == 0
    assert "3 maps in" in capsys.readouterr().out


def test_options_that_contradict_a_resumed_run_are_refused(fake_file, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(out, fake_file) == 0
    assert run(out, fake_file) == 2
    assert "not empty" in capsys.readouterr().err
    assert run(out, fake_file, "--resume") == 0
    assert run(out, fake_file, "--resume", "--set", "training.batch_size=5") == 2
    assert "training.batch_size: 32, not 5" in capsys.readouterr().err
    assert run(out, fake_file, "--resume", "--set", "augment.probability=0.1") == 2
    assert "probability=0.1" in capsys.readouterr().err
    assert run(out, fake_file, "--resume", "--set", "metric.use=simple_auc") == 0  # only what follows training
    assert list(json.loads((out / "metrics.json").read_text())["test"]["macro"]) == ["simple_auc"]
    assert main(["run", "memory", "--resume", "--plugin", fake_file]) == 2
    assert "--resume needs --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere", "--recipe", "fake", "--set", "reader.use=auto"], "there is no such file or folder"),
        (["run", "--recipe", "fake"], "DATA is missing"),
        (["run", "memory", "--recipe", "fake", "--set", "loss.gama=1"], "unknown parameter 'gama'"),
        (["run", "memory", "--recipe", "fake", "--set", "nonsense"], "KEY=VALUE"),
        (["run", "memory", "--recipe", "faek"], "nearest: fake"),
        (["run", "memory:x", "--recipe", "fake"], "is no source of images"),
        (["predict", "nowhere", "a.png"], "no finished run"),
        (["plugins", "list", "--kind", "los"], "did you mean 'loss'"),
    ],
)
def test_wrong_use_is_one_clear_message_and_exit_code_2(arguments, words, fake_file, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--plugin", fake_file]) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "runs").exists()


def test_doctor(capsys):
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "devices: " in shown
    assert "no plugin offers an architecture" in shown


def test_doctor_notices_a_gpu_that_jax_does_not_see(tmp_path):
    assert gpu_problems({"cpu"}, tmp_path) == []
    (tmp_path / "nvidia0").touch()
    assert "medplug[cuda]" in gpu_problems({"cpu"}, tmp_path)[0]
    assert gpu_problems({"gpu"}, tmp_path) == []


def test_the_module_runs_too():
    found = subprocess.run([sys.executable, "-m", "medplug", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("medplug ")


def test_several_settings_after_one_option_and_data_behind_them(fake_file, tmp_path):
    words = ["run", "--recipe", "fake", "--plugin", fake_file, "--out", str(tmp_path / "run"), "--set", *FAST, "memory"]
    assert main(words) == 0
    assert (tmp_path / "run" / "report.html").exists()


def test_none_empties_a_list(fake_file, tmp_path):
    import tomllib

    assert run(tmp_path / "run", fake_file, "--set", "augment.use=none") == 0
    assert tomllib.loads((tmp_path / "run" / "config.toml").read_text())["augment"]["use"] == []


def test_doctor_survives_a_jax_without_devices(capsys, monkeypatch):
    import jax

    def broken():
        raise AssertionError("no backend")

    monkeypatch.setattr(jax, "devices", broken)
    assert main(["doctor"]) == 1
    assert "JAX finds no device: no backend" in capsys.readouterr().out
