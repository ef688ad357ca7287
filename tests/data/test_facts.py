"""Facts of images: against plain NumPy, and through their file."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from medplug.data.facts import ImageFacts, measure
from medplug.data.store.factfile import journal_line, read_facts, read_journal, write_facts


class Plain:
    pass


def smooth(shape, rng):
    """An image without the finest detail, as photographs are."""
    axes = [np.linspace(0, 3 + rng.random(), n) for n in shape[:2]]
    waves = np.sin(axes[0])[:, None, None] * np.cos(axes[1])[None, :, None] + rng.random((1, 1, shape[2]))
    return (255 * (waves - waves.min()) / np.ptp(waves)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(48, 40, 1), (64, 255, 3), (600, 400, 3), (257, 300, 1)])
def test_averages(rng, shape):
    pixels = smooth(shape, rng)
    fact, thumb = measure(Plain(), "none", pixels)
    height, width = shape[:2]
    frame = round(min(height, width) * 0.05)
    edge = np.ones((height, width), bool)
    edge[frame:-frame, frame:-frame] = False
    exact = max(shape[:2]) < 256
    assert fact.mean == pytest.approx(pixels.mean() / 255, abs=1e-4 if exact else 3e-3)
    assert fact.border == pytest.approx(pixels[edge].mean() / 255, abs=1e-4 if exact else 0.01)
    channels = pixels.astype(int)
    colour = 0.0
    if shape[2] == 3:
        apart = abs(channels[..., 0] - channels[..., 1]) + abs(channels[..., 1] - channels[..., 2])
        colour = apart.mean() / 510
    assert fact.colour == pytest.approx(colour, abs=1e-4 if exact else 5e-3)
    assert thumb.shape == (32, 32)
    grey = pixels @ np.array([0.299, 0.587, 0.114]) if shape[2] == 3 else pixels[..., 0]
    rows, columns = (np.arange(n) * 32 // n for n in shape[:2])
    areas = np.array([[grey[rows == i][:, columns == j].mean() for j in range(32)] for i in range(32)])
    assert np.corrcoef(areas.ravel(), thumb.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_hash_tells_values_shapes_and_types_apart(rng, dtype):
    pixels = rng.integers(0, 2, (6, 4, 1)).astype(dtype)
    expected = hashlib.sha256(f"{pixels.dtype}{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
    found = measure(Plain(), "none", pixels)[0]
    assert found.pixels == expected
    assert found.shape == (6, 4, 1)
    assert measure(Plain(), "none", np.asfortranarray(pixels))[0].pixels == expected
    other = pixels.copy()
    other[-1, -1] = 1 - other[-1, -1]
    assert measure(Plain(), "none", other)[0].pixels != expected
    assert measure(Plain(), "none", pixels.reshape(4, 6, 1))[0].pixels != expected


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_how_many_values_there_are(dtype):
    pixels = np.zeros((40, 40, 1), dtype)
    assert (measure(Plain(), "", pixels)[0].values, measure(Plain(), "", pixels)[0].constant) == (1, True)
    pixels[3, 7] = 1
    assert (measure(Plain(), "", pixels)[0].values, measure(Plain(), "", pixels)[0].constant) == (2, False)
    pixels[38, 39] = 0.5 if dtype == np.float32 else 9
    assert measure(Plain(), "", pixels)[0].values == 3


def test_one_colour_is_constant_though_its_channels_differ():
    pixels = np.tile(np.array([200, 0, 40], np.uint8), (50, 60, 1))
    fact = measure(Plain(), "", pixels)[0]
    assert fact.constant
    assert fact.values == 3
    assert fact.colour == pytest.approx((200 + 40) / 510, abs=1e-4)


def test_a_volume(rng):
    pixels = np.stack([smooth((40, 30, 1), rng) for _ in range(9)])
    fact, thumb = measure(Plain(), "", pixels)
    assert fact.shape == (9, 40, 30, 1)
    assert fact.mean == pytest.approx(pixels.mean() / 255, abs=1e-4)
    np.testing.assert_array_equal(thumb, measure(Plain(), "", pixels[4])[1])


def test_the_hash_of_the_file(tmp_path, rng):
    (tmp_path / "a").write_bytes(b"abc")
    pixels = smooth((8, 8, 1), rng)
    assert measure(Plain(), str(tmp_path / "a"), pixels)[0].content == hashlib.sha256(b"abc").hexdigest()
    assert measure(Plain(), "drawn", pixels)[0].content == ""
    assert measure(Plain(), "drawn", pixels, "known")[0].content == "known"


# ---------------------------------------------------------------- on disk

A, B = ("a" * 64, "0b" * 32)
FACTS = (
    ImageFacts(A, (4, 5, 3), False, "", B, 3, 0.1234, 0.5, 0.25, {"format": "JPEG", "bytes": 12, "quality": 1.5}),
    ImageFacts(error="truncated: „ü“ \udcff"),
    ImageFacts(B, (2, 4, 5, 1), True, "", "", 1, 1.0, 0.0, 0.0, {"format": "PNG"}),
    ImageFacts(A, (4, 5, 3), False, "", A, 2, 0.1, 0.2, 0.3, {}),
)


@pytest.mark.parametrize("facts", [FACTS, FACTS[:1], FACTS[1:2], FACTS[3:], ()])
def test_facts_come_back_as_they_were(tmp_path, facts):
    write_facts(tmp_path / "facts.npz", facts)
    assert read_facts(tmp_path / "facts.npz", len(facts)) == facts
    with pytest.raises(ValueError, match="not the facts of"):
        read_facts(tmp_path / "facts.npz", len(facts) + 1)


def test_numbers_of_numpy_become_plain(tmp_path):
    fact = replace(FACTS[0], file={"bits": np.int64(8), "spacing": np.float32(0.5)})
    write_facts(tmp_path / "facts.npz", [fact])
    [back] = read_facts(tmp_path / "facts.npz", 1)
    assert back.file == {"bits": 8, "spacing": 0.5}
    assert type(back.file["bits"]) is int
    with pytest.raises(TypeError, match="texts and numbers, not set"):
        write_facts(tmp_path / "facts.npz", [replace(FACTS[0], file={"bits": {1}})])


def test_a_journal_gives_all_its_whole_lines(tmp_path):
    text = journal_line({0: FACTS[0], 3: FACTS[3]}) + journal_line({2: FACTS[2]}) + journal_line({1: FACTS[1]})[:-9]
    (tmp_path / "facts.jsonl").write_text(text)
    assert read_journal(tmp_path / "facts.jsonl", 5) == (FACTS[0], None, FACTS[2], FACTS[3], None)
    assert json.loads(text.splitlines()[0])["3"]["values"] == 2
