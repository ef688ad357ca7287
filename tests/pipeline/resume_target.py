"""A run in a process of its own, that the test kills: ``python resume_target.py OUT EPOCH``.

After that epoch it sleeps, so that the test can hit a phase or the writing of a checkpoint.
"""

import sys
import time

from medplug import Pipeline
from medplug.progress import Reporter
from medplug.testing.fakes import fake_registry


class Slow:
    """Sleeps where the test wants to strike."""

    def __init__(self, after: int) -> None:
        self.after = after

    def epoch_ended(self, epoch: int) -> None:
        print(f"epoch {epoch}", flush=True)
        if epoch == self.after:
            time.sleep(5)


def run(out: str, after: int, resume: bool) -> None:
    settings = {
        "training.epochs": 6, "training.frozen_epochs": 3, "training.batch_size": 16, "training.learning_rate": 0.01,
        "evaluation.resamples": 50, "split.train": 0.6, "split.validation": 0.2, "architecture.dropout": 0.3,
    }  # fmt: skip
    pipeline = Pipeline(
        recipe="fake",
        settings=settings,
        plugins=fake_registry(),
        reporter=Reporter(quiet=True),
        observers=[Slow(after)],
    )
    pipeline.fit("memory", out=out, resume=resume)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), resume="--resume" in sys.argv)
