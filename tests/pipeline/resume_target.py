"""A run in a process of its own, that the test kills: ``python resume_target.py OUT DELAY``.

``DELAY`` seconds are slept after each epoch, so that the test can hit a phase or the writing of a checkpoint.
"""

import sys
import time

from medplug import Pipeline
from medplug.progress import Reporter
from medplug.testing.fakes import fake_registry


class Slow:
    """Sleeps where the test wants to strike."""

    def __init__(self, delay: float) -> None:
        self.delay = delay

    def epoch_ended(self, epoch: int) -> None:
        print(f"epoch {epoch}", flush=True)
        time.sleep(self.delay)


def run(out: str, delay: float, resume: bool) -> None:
    settings = {
        "training.epochs": 6, "training.frozen_epochs": 3, "training.batch_size": 16, "training.learning_rate": 0.01,
        "evaluation.resamples": 50, "split.train": 0.6, "split.validation": 0.2, "architecture.dropout": 0.3,
    }  # fmt: skip
    pipeline = Pipeline(
        recipe="fake",
        settings=settings,
        plugins=fake_registry(),
        reporter=Reporter(quiet=True),
        observers=[Slow(delay)],
    )
    pipeline.fit("memory", out=out, resume=resume)


if __name__ == "__main__":
    run(sys.argv[1], float(sys.argv[2]), resume="--resume" in sys.argv)
