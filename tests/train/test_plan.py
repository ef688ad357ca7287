"""The rules of a plan, by hand."""

from dataclasses import replace

import pytest

from medplug.config.settings import TrainingSettings
from medplug.errors import UsageError
from medplug.train.plan import Costs, Situation, StepCost, duration, make_plan, plan_epochs

SETTINGS = TrainingSettings(epochs=40, frozen_epochs=5, early_stopping=12, batch_size=32)
# an epoch: 10 steps and 2 s of validation, that is 12 s frozen and 52 s full
SEEN = Situation(
    images=320,
    batch=32,
    micro_batches={"frozen": 4, "full": 4},
    steps={"frozen": StepCost(1.0, 10**9, 4, 3.0), "full": StepCost(5.0, 2 * 10**9, 4, 9.0)},
    steps_per_epoch=10,
    validation=2.0,
    free_memory=4 * 10**9,
)


def test_both_phases_fit():
    # 1000 s leave 880: five frozen epochs of 10 s, and (880 - 50) / 40 = 20 full ones
    assert plan_epochs(SETTINGS, Costs(10, 40), 1000) == (5, 25)


def test_each_view_of_a_solved_head_takes_a_pass():
    one, four = (replace(SEEN, views=views).costs.frozen_epoch - SEEN.validation for views in (1, 4))
    assert four == 4 * one > 0


def test_never_more_than_the_settings_say():
    assert plan_epochs(SETTINGS, Costs(1, 1), 10_000) == (5, 40)


def test_phase_one_takes_a_quarter_at_most():
    assert plan_epochs(SETTINGS, Costs(10, 40), 100) == (2, 3)


def test_only_phase_one_fits():
    assert plan_epochs(SETTINGS, Costs(10, 400), 60) == (5, 5)


def test_nothing_fits():
    with pytest.raises(UsageError, match="one epoch takes 11 s"):
        plan_epochs(SETTINGS, Costs(10, 400), 5)


def test_a_single_phase():
    assert plan_epochs(TrainingSettings(epochs=40, frozen_epochs=0), Costs(0, 10), 100) == (0, 8)
    assert plan_epochs(TrainingSettings(epochs=40, frozen_epochs=40), Costs(10, 0), 100) == (8, 8)
    with pytest.raises(UsageError):
        plan_epochs(TrainingSettings(epochs=40, frozen_epochs=0), Costs(0, 100), 60)


def test_a_budget_decides_epochs_and_ends_training_alone():
    plan = make_plan(SETTINGS, replace(SEEN, budget=20.0, left=1000.0))
    # 880 s: five frozen epochs take 60, and 820 / 52 = 15 full ones fit
    assert (plan.settings.frozen_epochs, plan.settings.epochs, plan.settings.early_stopping) == (5, 20, 0)
    assert plan.epochs == {"frozen": 5, "full": 15}
    assert plan.expected == 5 * 12 + 15 * 52
    assert plan.choices["epochs"].reason == (
        "what fits the 16.7 min that are left of the budget, of which 12 % are kept back for whatever else the machine does"
    )
    assert plan.choices["early_stopping"].reason.startswith("off: the budget ends training")
    assert plan.settings == replace(SETTINGS, epochs=20, early_stopping=0, micro_batch=4)


def test_without_a_budget_the_settings_end_it():
    plan = make_plan(SETTINGS, SEEN)
    assert (plan.settings.frozen_epochs, plan.settings.epochs, plan.settings.early_stopping) == (5, 40, 12)
    assert plan.expected == 5 * 12 + 35 * 52
    assert plan.choices["epochs"].reason == (
        "the settings' limit, or 12 epochs of a phase without a better validation figure: no budget was given"
    )


def test_a_level_schedule_may_be_cut():
    plan = make_plan(SETTINGS, replace(SEEN, budget=20.0, left=1000.0, falls=False))
    assert plan.settings.early_stopping == 12


@pytest.mark.parametrize(
    ("left", "epochs", "frozen", "reasons"),
    [
        (10_000.0, 40, 5, ("the settings' limit; it takes 31.3 min of the 2.8 h left", "as the settings say")),
        (150.0, 4, 2, ("what fits the 2.5 min", "phase one gets a quarter of the time at most")),
        (60.0, 4, 4, ("only the head: not one epoch of all layers (52 s) fits the 60 s left", "as the settings say")),
    ],
)
def test_each_case_has_its_reason(left, epochs, frozen, reasons):
    plan = make_plan(SETTINGS, replace(SEEN, budget=left / 60, left=left))
    assert (plan.settings.epochs, plan.settings.frozen_epochs) == (epochs, frozen)
    assert reasons[0] in plan.choices["epochs"].reason
    assert reasons[1] in plan.choices["frozen_epochs"].reason


def test_a_small_set_is_one_batch():
    plan = make_plan(SETTINGS, replace(SEEN, images=20, batch=20))
    assert plan.settings.batch_size == 20
    assert plan.choices["batch_size"].reason == "all 20 training images; the settings' 32 are more"


def steps(micro):
    return {phase: replace(cost, micro_batch=micro) for phase, cost in SEEN.steps.items()}


@pytest.mark.parametrize(
    ("settings", "situation", "micro", "reason"),
    [
        ({}, {}, 4, "few images at once stay in the processor's cache"),
        ({"micro_batch": 4}, {}, 4, "as the settings say"),
        ({"micro_batch": 5}, {}, 4, "made to divide the batch"),
        ({}, {"micro_batches": {"frozen": 32, "full": 32}, "steps": steps(32)}, 32, "the whole batch: it fits"),
        (
            {"batch_norm": "batch"},
            {"micro_batches": {"frozen": 4, "full": 32}, "steps": {**SEEN.steps, "full": StepCost(5.0, 1, 32, 9.0)}},
            None,
            "batch statistics of phase two need the whole batch",
        ),
        (
            {"batch_norm": "batch"},
            {"micro_batches": {"frozen": 32, "full": 32}, "steps": {"frozen": steps(32)["frozen"], **steps(8)}},
            8,
            "step with 32 images at once does not fit the 4.0 GB that are free",
        ),
    ],
)
def test_images_at_once(settings, situation, micro, reason):
    plan = make_plan(replace(SETTINGS, **settings), replace(SEEN, **situation))
    assert plan.settings.micro_batch == micro
    assert reason in plan.choices["micro_batch"].reason


def test_the_time_left_of_the_whole_training():
    plan = make_plan(SETTINGS, SEEN)
    # two more frozen epochs as slow as this one (24 s in the place of 12), and 35 full ones twice as slow as planned
    assert plan.left("frozen", 2, 24.0) == 2 * 24 + 35 * 52 * 2
    assert plan.left("full", 10.5, 50.0) == 10.5 * 50
    assert plan.left("full", 0, 50.0) == 0


def test_plans_are_plain_values():
    found = make_plan(SETTINGS, replace(SEEN, budget=20.0, left=1000.0)).to_json()
    assert found["phases"]["full"] == {
        "epochs": 15, "seconds_per_step": 5.0, "seconds_per_epoch": 52.0, "compile_seconds": 9.0,
        "memory_bytes": 2 * 10**9, "micro_batch": 4,
    }  # fmt: skip
    assert found["choices"]["epochs"]["value"] == 20
    assert (found["expected_seconds"], found["budget_minutes"], found["seconds_left"]) == (840.0, 20.0, 1000.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0042, "0.0042 s"), (0.42, "0.42 s"), (45.2, "45 s"), (89.9, "90 s"), (195, "3.2 min"), (9000, "2.5 h")],
)
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text
