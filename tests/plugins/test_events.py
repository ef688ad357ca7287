"""Observers watch; they can neither change nor break a run."""

import pytest

from medplug.plugins.events import Events


class Watcher:
    def __init__(self):
        self.seen = []

    def epoch_ended(self, epoch, metrics):
        self.seen.append((epoch, metrics["loss"]))


class Broken:
    def __init__(self):
        self.calls = 0

    def epoch_ended(self, run):
        self.calls += 1
        raise RuntimeError("boom")


def emit(events, epoch):
    events.emit("epoch_ended", run=None, epoch=epoch, metrics={"loss": 0.5})


def test_an_observer_gets_only_the_arguments_that_it_names():
    watcher = Watcher()
    emit(Events([("w", watcher)]), 3)
    assert watcher.seen == [(3, 0.5)]


def test_a_broken_observer_is_reported_and_switched_off_after_three_failures():
    broken, watcher = Broken(), Watcher()
    events = Events([("broken", broken), ("w", watcher)])
    for epoch in range(5):
        emit(events, epoch)
    assert broken.calls == 3
    assert len(watcher.seen) == 5
    assert len(events.problems) == 3
    assert "RuntimeError: boom" in str(events.problems[0])
    assert "switched off" in str(events.problems[-1])
    assert events.seconds["broken"] > 0


def test_ctrl_c_passes():
    class Stops:
        def epoch_ended(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emit(Events([("s", Stops())]), 1)


def test_an_observer_that_does_not_fit_is_reported_and_left_out():
    class Asks:
        def epoch_ended(self, epoch, logs):
            raise AssertionError("never called")

    class Misspelt:
        def epoch_end(self, epoch):
            """Never called."""

    class Exits:
        def epoch_ended(self):
            raise SystemExit(3)

    events = Events([("asks", Asks()), ("misspelt", Misspelt()), ("exits", Exits())])
    emit(events, 1)
    texts = [str(p) for p in events.problems]
    assert "logs" in texts[0]
    assert "did you mean 'epoch_ended'?" in texts[1]
    assert "SystemExit" in texts[2]
