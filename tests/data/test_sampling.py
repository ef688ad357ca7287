"""Sampling: the expected frequencies by hand, an epoch of them to within one draw, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medplug.config.settings import TrainingSettings
from medplug.data.batches import Loader
from medplug.data.sampling import Sampling, class_weights, make_sampling
from medplug.data.store.pixelstore import PixelStore
from medplug.errors import DataError, ParameterError
from medplug.values import Index


def index_of(targets, task="multiclass", **metadata):
    targets = np.asarray(targets, np.float32)
    names = tuple(f"s{i}" for i in range(len(targets)))
    classes = tuple(f"c{i}" for i in range(targets.shape[1]))
    return Index(names, names, targets, classes, task, metadata={k: np.asarray(v) for k, v in metadata.items()})


def one_hot(*counts):
    return np.repeat(np.eye(len(counts), dtype=np.float32), counts, axis=0)


def sampling_of(name, targets, task="multiclass", **metadata):
    index = index_of(targets, task, **metadata)
    column = next(iter(metadata), None)
    return make_sampling(TrainingSettings(sampling=name, sampling_column=column), index, np.arange(len(index)))


def drawn(sampling, targets, epochs=400):
    """Mean number of draws per class and epoch."""
    return np.mean([targets[sampling.draw(seed)].sum(0) for seed in range(epochs)], axis=0)


def test_uniform_needs_none():
    assert sampling_of("uniform", one_hot(3, 2)) is None


def test_balanced_draws_all_classes_alike():
    targets = one_hot(80, 15, 5)
    sampling = sampling_of("balanced", targets)
    np.testing.assert_allclose(sampling.expected @ targets, [100 / 3] * 3)
    for seed in range(20):
        np.testing.assert_allclose(targets[sampling.draw(seed)].sum(0), 100 / 3, atol=1)


def test_square_root_by_hand():
    """Classes of 64, 16 and 4: in proportion to 8, 4 and 2, which are 48, 24 and 12 of 84 draws."""
    targets = one_hot(64, 16, 4)
    sampling = sampling_of("square_root", targets)
    np.testing.assert_allclose(sampling.expected @ targets, [48, 24, 12])
    np.testing.assert_allclose(targets[sampling.draw(1)].sum(0), [48, 24, 12], atol=1)


def test_an_absent_class_takes_nothing():
    targets = np.concatenate([one_hot(6, 2), np.zeros((8, 1), np.float32)], axis=1)
    np.testing.assert_allclose(sampling_of("balanced", targets).expected @ targets, [4, 4, 0])


def test_soft_labels_count_by_their_shares():
    targets = np.array([[1, 0], [1, 0], [0.5, 0.5]], np.float32)
    np.testing.assert_allclose(class_weights(targets, 0.0), [0.5 / 2.5, 0.5 / 2.5, 0.25 / 2.5 + 0.25 / 0.5])


def test_multilabel_by_hand():
    """Counts 4, 2 and, without any label, 3: each of the three is the reason of a third of the draws."""
    targets = np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0], [0, np.nan]], np.float32)
    sampling = sampling_of("balanced", targets, "multilabel")
    third = 8 / 3
    expected = [third / 4] * 3 + [third / 4 + third / 2, third / 2] + [third / 3] * 3
    np.testing.assert_allclose(sampling.expected, expected)
    np.testing.assert_allclose(
        drawn(sampling, np.nan_to_num(targets)), sampling.expected @ np.nan_to_num(targets), atol=0.1
    )


def test_weighted_by_a_column():
    targets = one_hot(2, 2)
    sampling = sampling_of("weighted", targets, weight=["1", "0", "2", "1"])
    np.testing.assert_allclose(sampling.expected, [1, 0, 2, 1])
    assert sorted(sampling.draw(0).tolist()) == [0, 2, 2, 3]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["1", "x"], "1 of 2 samples have no weight, such as s1 with x"),
        ([1.0, -1.0], "such as s1 with -1.0"),
        ([1.0, np.nan], "such as s1 with nan"),
        ([0, 0], "all training samples have the weight 0"),
    ],
)
def test_a_column_that_holds_no_weights(values, says):
    with pytest.raises(DataError, match=says):
        sampling_of("weighted", one_hot(1, 1), weight=values)


def test_a_column_that_is_not_there():
    settings_ = TrainingSettings(sampling="weighted", sampling_column="w")
    with pytest.raises(DataError, match=r"no such column \(columns: age\)"):
        make_sampling(settings_, index_of(one_hot(1, 1), age=[1, 2]), np.arange(2))


@pytest.mark.parametrize(
    "given", [{"sampling": "weighted"}, {"sampling_column": "w"}, {"sampling": "balanced", "shuffle": "batches"}]
)
def test_settings_that_contradict_each_other(given):
    with pytest.raises(ParameterError):
        TrainingSettings(**given)


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.floats(0, 100), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3),
    seed=st.integers(0, 2**31 - 1),
    classes=st.integers(1, 4),
)
def test_each_sample_comes_as_often_as_expected_to_within_one_draw(weights, seed, classes):
    expected = np.array(weights) * (len(weights) / sum(weights))
    strata = np.arange(len(weights)) % classes
    order = Sampling(expected, strata).draw(seed)
    counts = np.bincount(order, minlength=len(weights))
    assert len(order) == len(weights)
    assert np.all(np.abs(counts - expected) < 1 + 1e-6)
    for stratum in range(classes):
        assert abs(counts[strata == stratum].sum() - expected[strata == stratum].sum()) < 1 + 1e-6
    np.testing.assert_array_equal(order, Sampling(expected, strata).draw(seed))


def test_single_samples_come_as_often_as_expected_over_epochs():
    targets = one_hot(9, 3)
    sampling = sampling_of("balanced", targets)
    counts = np.mean([np.bincount(sampling.draw(s), minlength=12) for s in range(3000)], axis=0)
    np.testing.assert_allclose(counts, [6 / 9] * 9 + [2] * 3, atol=0.05)


# ---------------------------------------------------------------- in the loader


@pytest.fixture
def loader():
    targets = one_hot(30, 6)
    images = np.arange(36, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    rows = np.r_[1:30, 30:36]
    sampling = make_sampling(TrainingSettings(sampling="balanced"), index_of(targets), rows)
    return Loader(PixelStore(images), targets, rows, 4, seed=3, sampling=sampling)


def samples(batches):
    return [b.images[:, 0, 0, 0].tolist() for b in batches]


def test_the_loader_draws_by_epoch_and_goes_on_in_the_middle(loader):
    options = {"shuffle": "samples", "last_batch": "keep"}
    first = samples(loader.epoch(1, **options))
    assert first == samples(loader.epoch(1, **options))
    assert first != samples(loader.epoch(2, **options))
    assert samples(loader.epoch(1, **options, start=3)) == first[3:]
    assert len(first) == loader.steps("keep") == 9
    drawn_ = np.array(sum(first, []))
    assert len(drawn_) == 35
    assert 0 not in drawn_
    assert abs((drawn_ >= 30).sum() - 17.5) <= 1


def test_validation_shows_each_sample_once(loader):
    shown = [batch.images[batch.mask > 0, 0, 0, 0].tolist() for batch in loader.once()]
    assert sum(shown, []) == list(range(1, 36))


def test_a_loss_is_told_the_counts_that_it_sees(loader):
    np.testing.assert_allclose(loader.class_counts(), [[17.5, 17.5], [17.5, 17.5]], rtol=1e-6)
    plain = Loader(loader.store, loader.targets, loader.rows, 4)
    np.testing.assert_allclose(plain.class_counts(), [[29, 6], [6, 29]])


def test_counts_leave_out_what_is_unknown():
    targets = np.array([[1, np.nan], [0, 1], [1, 0], [0, 0]], np.float32)
    loader = Loader(PixelStore(np.zeros((4, 1, 1, 1), np.uint8)), targets, np.arange(4), 2)
    np.testing.assert_allclose(loader.class_counts(), index_of(targets, "multilabel").class_counts())
