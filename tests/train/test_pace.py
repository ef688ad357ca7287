"""Courses of steps by hand, and machines that turn out slower than they were measured."""

import math

import numpy as np
import pytest

from medplug.train.pace import Course, Pace, own_share, replan


def cosine(step, steps):
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def test_a_course_without_cuts_is_the_schedule_itself():
    course = Course(7)
    assert course.total == 7
    assert [course.position(step) for step in range(8)] == list(range(8))


def test_a_cut_course_goes_on_from_where_it_was_and_ends_at_the_end():
    # 60 steps of the schedule are left for 30 steps: every second one
    course = Course(100).ending(40, 70)
    assert course.total == 70
    assert [course.position(step) for step in (0, 39, 40, 41, 42, 69, 70)] == [0, 39, 40, 42, 44, 98, 100]
    # again: of the 20 steps (40 of the schedule) that are left only 8 fit: 5 of the schedule a step
    again = course.ending(50, 58)
    assert [again.position(step) for step in (39, 49, 50, 51, 57, 58)] == [39, 58, 60, 65, 95, 100]


def test_positions_rise_and_the_cosine_reaches_zero_after_any_cuts(rng):
    for _ in range(200):
        course, done = Course(int(rng.integers(1, 400))), 0
        for _ in range(int(rng.integers(0, 5))):
            done = int(rng.integers(done, course.total + 1))
            course = course.ending(done, int(rng.integers(done, course.longest(done) + 1)))
        positions = [course.position(step) for step in range(course.total)]
        assert (np.diff(positions) >= 1).all()
        assert course.position(course.total) == course.planned
        assert cosine(course.position(course.total), course.planned) == pytest.approx(0)


def test_what_is_past_is_not_changed_by_a_cut():
    before = Course(50).ending(20, 40)
    after = before.ending(30, 33)
    assert [before.position(step) for step in range(31)] == [after.position(step) for step in range(31)]


def test_steps_come_back_as_far_as_the_schedule_has_some():
    course = Course(100).ending(40, 70)  # two of the schedule a step
    assert course.longest(50) == 90  # at place 60: 40 are left
    assert [course.ending(50, 90).position(step) for step in (49, 50, 51, 89, 90)] == [58, 60, 61, 99, 100]
    with pytest.raises(ValueError, match="cannot end after"):
        course.ending(50, 91)


@pytest.mark.parametrize(("done", "total"), [(10, 21), (10, 9)])
def test_a_course_never_becomes_longer_than_its_schedule_nor_ends_in_the_past(done, total):
    with pytest.raises(ValueError, match="cannot end after"):
        Course(20).ending(done, total)


def test_replan_by_hand():
    assert replan(left=100, step_seconds=0.98, done=0, planned=100) is None  # just fits
    assert replan(left=100, step_seconds=2, done=0, planned=100) == 47  # 94 s of steps of 2 s
    assert replan(left=100, step_seconds=2, done=60, planned=100) is None  # 40 steps of 2 s
    # epochs of 10 steps with 5 s of validation: 25 steps and 3 validations take 65 s; 94 s hold 34 steps and 4 ...
    assert replan(100, 2, 0, 100, epoch_steps=10, epoch_seconds=5) == 37  # 74 + 20
    # ... in the middle of an epoch the one that goes on is validated too: 43 - 5 steps of 2 s, and 4 validations
    assert replan(100, 2, 5, 100, epoch_steps=10, epoch_seconds=5) == 40  # 70 + 20; the 41st would need a fifth
    assert replan(-1, 2, 30, 100) == 30  # the time is over
    assert replan(-1, 2, 100, 100) is None  # and everything is done
    # shortened to 60 steps of 1 s: they come back where 90 % hold them, as many as 94 % hold
    assert replan(left=66, step_seconds=1, done=0, planned=60, longest=100) is None
    assert replan(left=80, step_seconds=1, done=0, planned=60, longest=100) == 75
    assert replan(left=200, step_seconds=1, done=0, planned=60, longest=100) == 100


def test_less_time_or_a_slower_machine_never_gives_more_steps(rng):
    for _ in range(200):
        planned = int(rng.integers(1, 300))
        done = int(rng.integers(0, planned + 1))
        left, seconds = rng.uniform(0, 100), rng.uniform(0.01, 3)
        options = {"epoch_steps": int(rng.integers(0, 30)), "epoch_seconds": rng.uniform(0, 5)}
        options["longest"] = int(rng.integers(planned, 2 * planned + 1))
        total = replan(left, seconds, done, planned, **options) or planned
        assert done <= total <= options["longest"]
        assert (replan(0.8 * left, seconds, done, planned, **options) or planned) <= total
        assert (replan(left, 1.3 * seconds, done, planned, **options) or planned) <= total


@pytest.mark.parametrize("slowness", [0.5, 1.0, 1.3, 3.0, 20.0])
@pytest.mark.parametrize("since", [0, 250])
def test_a_simulated_run_ends_in_time_with_its_schedule(slowness, since):
    """A plan of 400 steps of 1 s with 12 % of margin, on a machine that becomes slower at some step."""
    noise = np.random.default_rng(3)
    deadline, clock, done = 400 / 0.88 + 40 * 2, 0.0, 0
    course, pace = Course(400), Pace(1.0)
    while done < course.total:
        seconds = noise.uniform(0.9, 1.1) * (slowness if done >= since else 1.0)
        clock += seconds
        pace.step(seconds)
        done += 1
        if done % 20 == 0:
            clock += 2 * (slowness if done >= since else 1.0)
        total = replan(
            deadline - clock,
            pace.seconds,
            done,
            course.total,
            longest=course.longest(done),
            epoch_steps=20,
            epoch_seconds=2,
        )
        course = course if total is None else course.ending(done, total)
    assert course.position(done) == 400  # the schedule is through
    assert clock <= deadline + 2 * slowness  # but for the step and the validation that were under way
    if slowness == 1.0:
        assert course.changes == ()
    if slowness > 1 and clock < deadline:
        assert clock > 0.8 * deadline  # and the time is used
    assert len(course.changes) < 25


def test_a_machine_that_is_slow_for_a_while_gets_its_steps_back():
    deadline, clock, done = 460.0, 0.0, 0
    course, pace, lengths = Course(400), Pace(1.0), []
    while done < course.total:
        seconds = 4.0 if 50 <= done < 70 else 1.0
        clock, done = clock + seconds, done + 1
        pace.step(seconds)
        total = replan(deadline - clock, pace.seconds, done, course.total, longest=course.longest(done))
        course = course if total is None else course.ending(done, total)
        lengths.append(course.total)
    assert min(lengths) < 250  # it looked as if not half of it would fit
    assert course.total > 350  # but nearly all the time is used in the end
    assert 0.9 * deadline < clock <= deadline
    assert course.position(done) == 400


def test_a_single_hiccup_is_not_a_slow_machine():
    pace = Pace(2.0)
    for _ in range(15):
        pace.step(2.0)
    pace.step(90.0)
    assert pace.seconds == 2.0


def test_the_first_steps_are_believed_little_by_little():
    pace, found = Pace(0.1), []
    for _ in range(9):
        pace.step(0.3)
        found.append(pace.seconds)
    assert found[0] == 0.1
    # two steps of 0.3 s, of which the slowest is left out, and 1.7 s of steps of 0.1 s: 2 s for 18 steps
    assert found[1] == pytest.approx(2 / 18)
    assert (np.diff(found) >= 0).all()
    assert found[-1] == pytest.approx(0.3)  # 2.4 s were seen


def test_slow_steps_are_believed_at_once():
    pace = Pace(1.0)
    pace.step(4.0)
    pace.step(4.0)
    assert pace.seconds == 4.0


def test_old_steps_are_forgotten():
    pace = Pace(1.0)
    for seconds in [9.0] * 50 + [4.0] * 33:
        pace.step(seconds)
    assert pace.seconds == 4.0
    quick = Pace(0.1)
    for seconds in [0.5] * 10 + [0.1] * 100:  # all of 15 s
        quick.step(seconds)
    assert quick.seconds == pytest.approx((9 * 0.5 + 100 * 0.1) / 109)


def test_phases_share_the_time_that_is_left():
    assert own_share(100, own=20, later=60) == 25
    assert own_share(100, own=20, later=0) == 100
    assert own_share(100, own=0, later=0) == 100
