"""``--plugin FILE.py``."""

import pytest

from medplug.errors import UsageError
from medplug.plugins.localfile import add_file
from medplug.plugins.registry import Registry

LOSS = '''
from medplug.plugins import component, param

@component
class MySharpLoss:
    """A loss of mine."""
    kind = "loss"
    tasks = ("multiclass",)
    gamma: float = param("strength", default=1.0)
    def __call__(self, logits, targets, class_counts):
        return logits.sum(1)
'''


def write(tmp_path, text, name="mine.py"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_components_of_a_file_are_registered_by_their_class_name(tmp_path):
    registry = Registry()
    add_file(registry, write(tmp_path, LOSS))
    record = registry.find("loss", "my_sharp_loss")
    assert (record.distribution, record.summary) == ("file-mine", "A loss of mine.")
    assert registry.make("loss", "my_sharp_loss", gamma=2).gamma == 2.0


def test_a_file_with_the_hook_is_a_plugin(tmp_path):
    text = LOSS.replace('kind = "loss"', "") + (
        "from medplug.plugins import Component, hookimpl\n"
        "@hookimpl\ndef medplug_components():\n    yield Component('loss', 'named', f'{__name__}:MySharpLoss')\n"
    )
    registry = Registry()
    add_file(registry, write(tmp_path, text, "hooked.py"))
    assert registry.make("loss", "named").gamma == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "no component found"),
        ("def f(:\n", "SyntaxError"),
        ("import no_such_module_xyz\n", "ModuleNotFoundError"),
    ],
)
def test_a_file_that_offers_nothing_is_told(tmp_path, text, words):
    with pytest.raises(UsageError, match=words):
        add_file(Registry(), write(tmp_path, text, f"bad{len(text)}.py"))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        add_file(Registry(), tmp_path / "nowhere.py")
