"""The collector is as it was after it was held off, whatever happened in between."""

import gc

import pytest

from medplug.data.pause import collector_paused, old_objects_spared


def test_it_pauses_and_goes_on():
    assert gc.isenabled()
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_old_objects_are_spared_for_a_while():
    with old_objects_spared():
        assert gc.isenabled()
        with old_objects_spared():
            pass
        assert gc.get_freeze_count() > 0  # no exact number: frozen objects too go when their last reference goes
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("held_off", [collector_paused, old_objects_spared])
def test_errors_do_not_leave_it_off(held_off):
    def fails():
        with held_off():
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
