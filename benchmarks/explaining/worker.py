"""Maps by medplug; prints the seconds of each call, or the memory they take, as JSON.

The argument is a workload as JSON, see ``benchmarks/explaining/workloads.py``. Images are uint8 noise, so standardising
them belongs to what is measured. The first call of a process compiles; its seconds are told apart.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_POLL = 0.005  # seconds


def main(workload: Mapping[str, Any]) -> None:
    """Time the workload, or take its memory."""
    if workload["method"] == "rates":
        print(json.dumps(timed(_rates(workload), workload["calls"])))
    elif workload.get("memory"):
        print(json.dumps(memory(_explanation(workload))))
    else:
        print(json.dumps(timed({"explain": _explanation(workload)}, workload["calls"])))


def timed(functions: Mapping[str, Callable[[], Any]], calls: int) -> dict[str, dict[str, Any]]:
    """Seconds of the first call of each function, and of so many more, in turn."""
    first = {name: _seconds(function) for name, function in functions.items()}
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(calls):
        for name, function in functions.items():
            seconds[name].append(_seconds(function))
    return {"first": first, "seconds": seconds}


def memory(function: Callable[[], Any]) -> dict[str, float]:
    """MiB of anonymous memory before and, at most, during the second call; the first one compiles."""
    function()
    rest, peak, done = anonymous_mib(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_POLL):
            peak = max(peak, anonymous_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        function()
    finally:
        done.set()
        watcher.join()
    return {"rest_mib": rest, "peak_mib": peak}


def anonymous_mib() -> float:
    """Resident memory of this process that no file backs, from Linux' ``/proc``."""
    line = next(x for x in Path("/proc/self/status").read_text("ascii").splitlines() if x.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


def _seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _rates(workload: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """Plain inference, and Grad-CAM of a multi-label network: of one label, of all, and with its gradient."""
    from medplug.model.apply import forward_function

    network, images, labels = _network(workload), _images(workload), workload["labels"]
    predict = forward_function(network, "multilabel")
    return {
        "inference": lambda: np.asarray(predict(images)),
        "one": _explain(network, "multilabel", "grad_cam", images, [workload["label"]]),
        "all": _explain(network, "multilabel", "grad_cam", images, list(range(labels))),
        "gradient": _explain(network, "multilabel", "grad_cam", images, [workload["label"]], form="gradient"),
    }


def _explanation(workload: Mapping[str, Any]) -> Callable[[], Any]:
    parameters = {key: workload[key] for key in ("patch", "stride", "stage", "steps") if key in workload}
    network, images = _network(workload), _images(workload)
    return _explain(network, "multiclass", workload["method"], images, [workload["label"]], **parameters)


def _explain(
    network: Any, task: str, method: str, images: np.ndarray, labels: list[int], **parameters: Any
) -> Callable[[], Any]:
    from medplug.model.explain import explain_function, image_keys
    from medplug.plugins.registry import registry

    explain = explain_function(network, registry().make("explainer", method, **parameters), task)
    classes = np.tile(np.array(labels, np.int32), (len(images), 1))
    keys = image_keys(0, [f"image {number}" for number in range(len(images))])
    return lambda: np.asarray(explain(images, classes, keys))


def _network(workload: Mapping[str, Any]) -> Any:
    from medplug import build_network

    return build_network("densenet121", classes=workload["labels"], size=workload["edge"], weights=None)


def _images(workload: Mapping[str, Any]) -> np.ndarray:
    shape = (workload["images"], workload["edge"], workload["edge"], 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
