"""What every plugin has to do: be found without problems, and be light to list."""

from __future__ import annotations

import json
import subprocess
import sys

from medplug.plugins.discovery import normalise
from medplug.plugins.policy import Policy
from medplug.plugins.registry import Registry
from medplug.testing.checks import Case, Check, check, require

HEAVY = ("jax", "flax", "numpy", "scipy", "sklearn", "PIL", "torch", "pandas", "orbax")

_LISTING = """
import json, sys, traceback
sys.path[:] = json.loads(sys.argv[1])
heavy, found = json.loads(sys.argv[2]), {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in heavy and name not in found:
            frames = [f for f in traceback.extract_stack()[:-1] if "importlib" not in f.filename]
            found[name] = f"{frames[-1].filename}:{frames[-1].lineno}"

sys.meta_path.insert(0, Watch())
from medplug.plugins.policy import Policy
from medplug.plugins.registry import Registry
Registry.discover(Policy(allow=(sys.argv[3],))).components()
print(json.dumps(found))
"""


def discover(distribution: str) -> Registry:
    """A registry of that distribution alone, so that what else is installed does not matter."""
    return Registry.discover(Policy(allow=(normalise(distribution),)))


def _registry(case: Case) -> Registry:
    return case.once("registry", lambda: discover(case.obj))


@check("install it (pip install -e .) and name its light module in [project.entry-points.medplug]")
def offers_components(case: Case) -> None:
    """The distribution is installed and its hook yields components."""
    require(
        _registry(case).components(), f"{case.obj} offers no component: not installed here, or its hook yields none"
    )


@check("`medplug plugins list -v` shows the same problems")
def found_without_problems(case: Case) -> None:
    """Discovery, alone with this distribution, notes nothing."""
    name = normalise(case.obj)
    problems = [str(p) for p in _registry(case).problems if p.distribution == name and p.stage != "resolve"]
    require(not problems, "\n".join(problems))


@check("give each Component(...) a summary of one line")
def summarised(case: Case) -> None:
    """Each record has a line for listings."""
    bare = [r.key for r in _registry(case).components() if not r.summary.strip() or "\n" in r.summary]
    require(not bare, f"no summary, or one of several lines: {', '.join(bare)}")


@check("import heavy packages in the modules that the records name, not in the plugin module or its package's __init__")
def light_to_list(case: Case) -> None:
    """Listing the components in a fresh process imports no heavy package."""
    found = heavy_imports(case.obj)
    where = "; ".join(f"{name} by {place}" for name, place in found.items())
    require(not found, f"listing the plugin imports {where}")


def heavy_imports(distribution: str) -> dict[str, str]:
    """Heavy packages that listing a distribution's components imports in a fresh process, with the importing line."""
    command = [sys.executable, "-c", _LISTING, json.dumps(sys.path), json.dumps(HEAVY), normalise(distribution)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"listing {distribution} in a fresh process failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


PLUGIN_CHECKS: tuple[Check, ...] = (offers_components, found_without_problems, summarised, light_to_list)
