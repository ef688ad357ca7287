"""What the README says works, word for word."""

import re
import sys
from pathlib import Path

import pytest

from medplug.cli.main import build_parser
from medplug.config import Config
from medplug.config.config import from_assignments
from medplug.plugins.discovery import scan
from medplug.plugins.policy import Policy
from medplug.plugins.registry import Registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def readme_plugin(tmp_path, monkeypatch):
    """The package of the README's plugin section, laid out as pip would."""
    package = tmp_path / "my_losses"
    package.mkdir()
    (package / "__init__.py").touch()
    for text in blocks("python"):
        if match := re.match(r"# my_losses/(\w+\.py)", text):
            (package / match.group(1)).write_text(text)
    home = tmp_path / "my_losses-1.0.dist-info"
    home.mkdir()
    (home / "METADATA").write_text("Name: my-losses\nVersion: 1.0\n")
    points = re.search(r"\[project.entry-points.medplug\]\n(.*)", blocks("toml")[0]).group(1)
    (home / "entry_points.txt").write_text("[medplug]\n" + points.replace('"', "") + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [m for m in sys.modules if m.startswith("my_losses")]:
        del sys.modules[name]


def test_the_plugin_section_makes_a_working_plugin(readme_plugin):
    from medplug.testing import check_component

    registry = Registry.discover(Policy(), scan([str(readme_plugin)]))
    assert registry.problems == []
    config = Config.from_layers(from_assignments({"loss.use": "tempered", "loss.temperature": "3"}))
    assert config.make("loss", registry)[1].temperature == 3.0
    check_component(registry.find("loss", "tempered"))


def test_every_command_line_parses():
    parser = build_parser()
    text = "\n".join(blocks("console")).replace("\\\n", " ")
    commands = re.findall(r"^\$ medplug (.*?)(?:\s+#.*)?$", text, re.MULTILINE)
    assert len(commands) >= 7
    for command in commands:
        parser.parse_args(command.split())


def test_the_map_of_the_tree_is_complete():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    source = ROOT / "src" / "medplug"
    names = {p.name + "/" for p in source.iterdir() if (p / "__init__.py").exists()}
    names |= {p.name for p in source.glob("*.py") if p.name not in ("__init__.py", "__main__.py", "version.py")}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_no_file_is_longer_than_400_lines():
    made = ROOT / "benchmarks" / "work"  # by benchmarks: environments of peers, for one
    files = [p for folder in ("src", "plugins", "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    files = [p for p in files if made not in p.parents]
    assert [str(p.relative_to(ROOT)) for p in files if len(p.read_text("utf-8").splitlines()) > 400] == []


def test_no_core_module_names_a_first_party_component():
    """Defaults are names in recipes; the core's code has none of them."""
    names = re.compile(
        r"densenet|efficientnet|medplug_standard|\bgrad_cam\b|\bcross_entropy\b|\broc_auc\b|\bphantoms\b", re.IGNORECASE
    )
    found = []
    for path in (ROOT / "src" / "medplug").rglob("*.py"):
        code = re.sub(r'"""(.*?)"""', "", path.read_text("utf-8"), flags=re.DOTALL)
        if path.parts[-2] != "testing" and names.search(re.sub(r"#.*", "", code)):
            found.append(path.name)
    assert found == []
