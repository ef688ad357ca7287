"""Short runs of the fakes."""

import pytest

from medplug import Pipeline


@pytest.fixture
def pipeline(fakes, quiet):
    """A pipeline of the fakes with other settings on top."""

    def make(seed=0, recipe="fake", **options):
        settings = {
            "training.epochs": 3, "training.frozen_epochs": 1, "training.batch_size": 16, "evaluation.resamples": 50,
            "training.learning_rate": 0.01, "training.frozen_learning_rate": 0.01, "split.validation": 0.2, "split.train": 0.6,
        }  # fmt: skip
        settings |= options.pop("settings", {})
        return Pipeline(recipe=recipe, settings=settings, plugins=fakes, reporter=quiet, seed=seed, **options)

    return make
