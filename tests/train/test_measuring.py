"""Steps are compiled once, cut where the memory is too small, and planned again where they turn out slower than measured."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug.config.settings import TrainingSettings
from medplug.data.batches import Loader
from medplug.model.network import build
from medplug.progress import Reporter
from medplug.testing.fakes import SimpleAdam, SimpleCrossEntropy, TinyNet
from medplug.train import clock, epoch, measuring
from medplug.train.checkpoint import Checkpoints
from medplug.train.loop import Trainer
from medplug.train.measuring import ends_low, look_around, seconds_of
from medplug.train.plan import Situation, StepCost, make_plan


class Told(Reporter):
    """Keeps warnings."""

    def __init__(self):
        super().__init__(quiet=True)
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


class Images:
    """A store of noise."""

    def __init__(self, n):
        self.images = np.random.default_rng(0).integers(0, 256, (n, 16, 16, 1), dtype=np.uint8)

    def take(self, rows):
        return self.images[rows]


def falling(steps):
    return lambda step: 1 - step / steps


def level(steps):
    return lambda step: jnp.ones(())


def trainer(schedule=falling, deadline=None, **settings):
    n = 40
    settings = TrainingSettings(**{"epochs": 4, "frozen_epochs": 2, "batch_size": 16, **settings})
    network = build(TinyNet(), (16, 16, 1), 2, seed=0)
    targets = np.eye(2, dtype=np.float32)[np.arange(n) % 2]
    store, rows = Images(n), np.arange(n)
    return Trainer(
        network=network, train=Loader(store, targets, rows[:32], settings.batch_size, seed=1),
        validation=Loader(store, targets, rows[32:], 4), optimizer=SimpleAdam(), schedule=schedule, augmenters=(), mixers=(),
        loss=SimpleCrossEntropy(), class_counts=np.ones((2, 2), np.float32), task="multiclass", settings=settings, seed=0,
        score=lambda t, p: {}, reporter=Told(), deadline=deadline,
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    """A trainer, what was seen of it, and the programs that were compiled meanwhile."""
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger = logging.getLogger("jax._src.interpreters.pxla")
    logger.addHandler(handler)
    with jax.log_compiles():
        made = trainer()
        before = jax.tree.map(np.asarray, (made._start.head, made._start.body))
        seen = look_around(made, budget=None)
        measuring_compiled = [r for r in records if r.startswith("Compiling jit(step)")]
        made.follow(make_plan(made.settings, seen))
        for phase in ("frozen", "full"):
            seconds_of(made.trial(phase))
        compiled = [r for r in records if r.startswith("Compiling jit(step)")]
    logger.removeHandler(handler)
    after = jax.tree.map(np.asarray, (made._start.head, made._start.body))
    return made, seen, (before, after), (measuring_compiled, compiled)


def test_each_step_is_measured(measured):
    _, seen, _, _ = measured
    assert set(seen.steps) == {"frozen", "full"}
    assert (seen.images, seen.batch, seen.steps_per_epoch) == (32, 16, 2)
    assert (seen.falls, seen.left, seen.budget) == (True, None, None)
    for cost in seen.steps.values():
        assert 0 < cost.seconds < 5
        assert cost.compiling > 0
        assert cost.micro_batch == 4
        assert cost.memory > 16 * 16 * 16  # at least the images
    assert seen.steps["full"].memory > seen.steps["frozen"].memory
    assert seen.validation > 0


def test_nothing_is_compiled_twice(measured):
    _, _, _, (while_measuring, in_all) = measured
    assert len(while_measuring) == 2  # one program a phase
    assert len(in_all) == 2  # and the steps of training are those


def test_nothing_of_the_run_changes(measured):
    _, _, (before, after), _ = measured
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_phases_without_epochs_are_not_compiled(monkeypatch):
    asked = []
    monkeypatch.setattr(measuring, "step_costs", lambda t, micro, batch, free: asked.append(micro) or {})
    monkeypatch.setattr(measuring, "seconds_of", lambda trial: 0.5)
    look_around(trainer(frozen_epochs=0), None)
    look_around(trainer(frozen_epochs=4), None)
    look_around(trainer(batch_norm="batch"), None)
    assert asked == [{"full": 4}, {"frozen": 4}, {"frozen": 4, "full": 16}]


@pytest.mark.parametrize(
    ("batch_norm", "words"), [("batch", "sees 4 images at a time"), ("frozen", "result is the same")]
)
def test_a_step_that_is_too_large_takes_fewer_images_at_once(monkeypatch, batch_norm, words):
    """With injected sizes: 100 bytes an image at once, and 500 are free."""
    made = trainer(frozen_epochs=0, batch_norm=batch_norm, micro_batch=16)
    sizes = []

    def memory(compiled):
        return 100 * sizes[-1]

    def trial(phase, micro=None):
        sizes.append(micro)
        return measuring.Trial(jax.jit(lambda x: x + 1), lambda: (jnp.zeros(()),))

    monkeypatch.setattr(made, "trial", trial)
    monkeypatch.setattr(measuring, "program_memory", memory)
    monkeypatch.setattr(measuring, "free_memory", lambda: 500)
    seen = look_around(made, None)
    assert sizes == [16, 8, 4]
    assert seen.steps["full"].micro_batch == 4
    assert len(made.reporter.warnings) == 1
    assert words in made.reporter.warnings[0]
    made.follow(make_plan(made.settings, seen))
    assert made.settings.micro_batch == 4
    assert made._micro["full"] == 4


def test_schedules_that_fall_and_that_do_not():
    assert ends_low(falling)
    assert not ends_low(level)


class Watch:
    """A clock that only the test moves on."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    perf_counter = monotonic


@pytest.mark.parametrize("slowness", [1.0, 1.7, 4.0])
def test_a_schedule_completes_on_a_slow_machine_too(tmp_path, monkeypatch, slowness):
    """Three epochs of 8 steps of 1 s and 2 s of validation, on a machine that is slower in truth."""
    watch = Watch()
    for module in (clock, epoch):
        monkeypatch.setattr(module, "time", watch)
    made = trainer(frozen_epochs=0, epochs=3, batch_size=4, learning_rate=0.01, deadline=35.0)
    cost = StepCost(seconds=1.0, memory=None, micro_batch=4, compiling=0.0)
    situation = Situation(32, 4, {"full": 4}, {"full": cost}, steps_per_epoch=8, validation=2.0, budget=1.0, left=35.0)
    made.follow(make_plan(made.settings, situation))
    assert made.settings.epochs == 3  # 30 s of the 30.8 that may be planned
    step, validate, rates = made._step("full", 4), made._validate, []

    def slow_step(state, images, targets, key, rate, decay):
        watch.now += slowness
        rates.append(float(rate))
        return step(state, images, targets, key, rate, decay)

    def slow_validation(*arguments):
        watch.now += slowness  # of the split's two batches
        return validate(*arguments)

    made._steps["full", 4], made._validate = slow_step, slow_validation
    made.fit(Checkpoints(tmp_path))
    if slowness == 1:
        np.testing.assert_allclose(rates, 0.01 * (1 - np.arange(24) / 24), rtol=1e-6)
        assert made.reporter.warnings == []
        assert watch.now == 30
        return
    assert len(rates) < 24
    assert rates[0] == pytest.approx(0.01)
    assert (np.diff(rates) < 0).all()
    # the schedule falls by so much each step, and by as much it would reach zero after the last one
    assert rates[-1] == pytest.approx(rates[-2] - rates[-1], abs=0.01 / 24 * 1.01)
    assert 0.75 * 35 < watch.now <= 35
    assert len(made.reporter.warnings) == 1
    assert "of 24 steps of this phase" in made.reporter.warnings[0]


def test_both_phases_complete_on_a_slow_machine(tmp_path, monkeypatch):
    """Two epochs of 8 steps of 1 s, then two of 2 s, with validation of 2 s: 56 s, on a machine that is half as fast."""
    watch, slowness = Watch(), 2.0
    for module in (clock, epoch):
        monkeypatch.setattr(module, "time", watch)
    made = trainer(frozen_epochs=2, epochs=4, batch_size=4, learning_rate=0.01, frozen_learning_rate=0.1, deadline=65.0)
    costs = {p: StepCost(seconds, None, 4, 0.0) for p, seconds in (("frozen", 1.0), ("full", 2.0))}
    micro = {"frozen": 4, "full": 4}
    situation = Situation(32, 4, micro, costs, steps_per_epoch=8, validation=2.0, budget=1.0, left=100.0)
    made.follow(make_plan(made.settings, situation))
    rates = {"frozen": [], "full": []}

    def slow(phase, step, seconds):
        def run(state, images, targets, key, rate, decay):
            watch.now += seconds
            rates[phase].append(float(rate))
            return step(state, images, targets, key, rate, decay)

        return run

    for phase, cost in costs.items():
        made._steps[phase, 4] = slow(phase, made._step(phase, 4), slowness * cost.seconds)
    made.fit(Checkpoints(tmp_path))
    assert watch.now <= 65
    assert watch.now > 0.7 * 65
    assert {phase: rows[0] for phase, rows in rates.items()} == pytest.approx({"frozen": 0.1, "full": 0.01})
    for phase, peak in (("frozen", 0.1), ("full", 0.01)):
        assert 4 < len(rates[phase]) < 16
        assert (np.diff(rates[phase]) < 0).all()
        assert rates[phase][-1] < 0.25 * peak
