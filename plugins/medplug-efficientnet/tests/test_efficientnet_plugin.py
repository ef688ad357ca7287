"""What the distribution offers."""

import importlib
import subprocess
import sys

from medplug_efficientnet.plugin import medplug_components


def test_the_component_is_registered_and_can_be_imported():
    (record,) = medplug_components()
    assert record.errors() == []
    assert record.key == "architecture/efficientnet_lite0"
    name, _, attribute = record.target.partition(":")
    assert getattr(importlib.import_module(name), attribute)().dropout == 0.2


def test_listing_and_configuring_import_nothing_slow():
    code = (
        "import sys, medplug_efficientnet.plugin, medplug_efficientnet.architecture as a; a.EfficientNetLite0();"
        "print(sorted({'jax', 'flax', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
