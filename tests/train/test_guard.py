"""What is taken for a diverged loss."""

import pytest

from medplug.train.guard import DivergedError, LossWatch


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_told_at_once(loss):
    with pytest.raises(DivergedError, match=r"the loss was (nan|inf) at step 1 of epoch 2"):
        LossWatch(0).see(loss, "step 1 of epoch 2")


def test_an_exploding_loss_is_told_with_its_size():
    watch = LossWatch(10)
    watch.learn([1.0, 2.0, 3.0, 4.0, 5.0, 99.0])
    assert watch.reference == 3.0
    for _ in range(6):
        watch.see(29.0, "here")
    with pytest.raises(DivergedError, match=r"the loss has grown to .*, 1\d times that of the first steps, at there"):
        watch.see(60.0, "there")


def test_one_hard_batch_is_no_explosion():
    watch = LossWatch(10, reference=1.0)
    for loss in [1.0] * 10 + [60.0] + [1.0] * 10:
        watch.see(loss, "here")


def test_the_rule_can_be_switched_off_and_waits_for_its_reference():
    for watch in (LossWatch(0, reference=1.0), LossWatch(10)):
        for _ in range(20):
            watch.see(1e9, "here")
    few = LossWatch(10)
    few.learn([1.0, 1.0])
    assert few.reference is None
