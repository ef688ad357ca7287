"""The door for authors of plugins: import this module and :mod:`medplug.testing`, nothing else.

Everything is loaded on first use, so that a plugin's light module costs nothing to list.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medplug.contracts.architecture import Architecture as Architecture
    from medplug.contracts.architecture import Features as Features
    from medplug.contracts.architecture import Preprocessing as Preprocessing
    from medplug.contracts.augmenter import Augmenter as Augmenter
    from medplug.contracts.explainer import Explainer as Explainer
    from medplug.contracts.explainer import NetworkView as NetworkView
    from medplug.contracts.explainer import Score as Score
    from medplug.contracts.loss import Loss as Loss
    from medplug.contracts.metric import Metric as Metric
    from medplug.contracts.mixer import Mixer as Mixer
    from medplug.contracts.observer import Observer as Observer
    from medplug.contracts.optimizer import Optimizer as Optimizer
    from medplug.contracts.preprocessor import Preprocessor as Preprocessor
    from medplug.contracts.reader import Reader as Reader
    from medplug.contracts.schedule import Schedule as Schedule
    from medplug.downloads import Download as Download
    from medplug.downloads import cache_folder as cache_folder
    from medplug.downloads import progress_bar as progress_bar
    from medplug.errors import DataError as DataError
    from medplug.errors import MedplugError as MedplugError
    from medplug.errors import ParameterError as ParameterError
    from medplug.errors import WeightsError as WeightsError
    from medplug.images import ImageError as ImageError
    from medplug.images import file_facts as file_facts
    from medplug.images import find_mask as find_mask
    from medplug.images import load_image as load_image
    from medplug.images import load_mask as load_mask
    from medplug.memory import targets_of as targets_of
    from medplug.params import component as component
    from medplug.params import param as param
    from medplug.pixels import full_scale as full_scale
    from medplug.pixels import of_depth as of_depth
    from medplug.pixels import resize as resize
    from medplug.pixels import to_channels as to_channels
    from medplug.plugins.hookspecs import hookimpl as hookimpl
    from medplug.plugins.records import Component as Component
    from medplug.plugins.records import Problem as Problem
    from medplug.values import About as About
    from medplug.values import Index as Index
    from medplug.values import Skipped as Skipped
    from medplug.weights import WeightsFile as WeightsFile
    from medplug.weights import conv_from_torch as conv_from_torch
    from medplug.weights import dense_from_torch as dense_from_torch
    from medplug.weights import depthwise_from_keras as depthwise_from_keras
    from medplug.weights import fit_stem as fit_stem
    from medplug.weights import read_weights as read_weights

_HOME = {
    "Component": "medplug.plugins.records",
    "Problem": "medplug.plugins.records",
    "hookimpl": "medplug.plugins.hookspecs",
    "component": "medplug.params",
    "param": "medplug.params",
    "Reader": "medplug.contracts.reader",
    "Preprocessor": "medplug.contracts.preprocessor",
    "Augmenter": "medplug.contracts.augmenter",
    "Architecture": "medplug.contracts.architecture",
    "Features": "medplug.contracts.architecture",
    "Preprocessing": "medplug.contracts.architecture",
    "Loss": "medplug.contracts.loss",
    "Optimizer": "medplug.contracts.optimizer",
    "Schedule": "medplug.contracts.schedule",
    "Mixer": "medplug.contracts.mixer",
    "Metric": "medplug.contracts.metric",
    "Explainer": "medplug.contracts.explainer",
    "NetworkView": "medplug.contracts.explainer",
    "Score": "medplug.contracts.explainer",
    "Observer": "medplug.contracts.observer",
    "About": "medplug.values",
    "Index": "medplug.values",
    "Skipped": "medplug.values",
    "ImageError": "medplug.images",
    "file_facts": "medplug.images",
    "find_mask": "medplug.images",
    "load_image": "medplug.images",
    "load_mask": "medplug.images",
    "full_scale": "medplug.pixels",
    "of_depth": "medplug.pixels",
    "resize": "medplug.pixels",
    "to_channels": "medplug.pixels",
    "targets_of": "medplug.memory",
    "Download": "medplug.downloads",
    "cache_folder": "medplug.downloads",
    "progress_bar": "medplug.downloads",
    "WeightsFile": "medplug.weights",
    "conv_from_torch": "medplug.weights",
    "dense_from_torch": "medplug.weights",
    "depthwise_from_keras": "medplug.weights",
    "fit_stem": "medplug.weights",
    "read_weights": "medplug.weights",
    "DataError": "medplug.errors",
    "MedplugError": "medplug.errors",
    "ParameterError": "medplug.errors",
    "WeightsError": "medplug.errors",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'medplug.plugins' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
