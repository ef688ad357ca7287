"""What the tests of the command line share: images of every kind on disk, and checks of what a command did."""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Run = Callable[..., Any]
EDGE = 16  # pixels, what the network sees: images of this size reach it as they are


def noise(level: int, seed: int, shape: tuple[int, ...] = (EDGE, EDGE)) -> np.ndarray:
    return np.random.default_rng([level, seed]).integers(level - 40, level + 40, shape, np.uint8)


def draw(folder: Path, count: int = 12, level: int = 60) -> None:
    """So many grey PNG files named 00.png, 01.png … in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(noise(level, number)).save(folder / f"{number:02d}.png")


def write_table(path: Path, columns: dict[str, Iterable[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_refused(outcome: Any, *words: str) -> None:
    """Exit code 2, and one message, in the last line, that holds the words."""
    assert outcome.code == 2, outcome
    *news, message = outcome.err.splitlines()
    assert message.startswith("medplug: error: ")
    assert not any("error" in line for line in news)
    for word in words:
        assert word in message


def check_told_before_training(outcome: Any, *words: str) -> None:
    """The run succeeded, and the words were said before the first epoch."""
    assert outcome.code == 0, outcome.err
    before, trained, _ = outcome.err.partition("  full   1/1 ")
    assert trained
    for word in words:
        assert word in before


def metrics(out: Path) -> dict[str, Any]:
    return json.loads((out / "metrics.json").read_text("utf-8"))["test"]


def split_of(out: Path) -> dict[str, str]:
    with (out / "split.csv").open(encoding="utf-8", newline="") as file:
        return {row["sample"]: row["split"] for row in csv.DictReader(file)}


def skipped(out: Path) -> dict[str, str]:
    return {s["name"]: s["reason"] for s in json.loads((out / "checks.json").read_text("utf-8"))["skipped"]}


# ---------------------------------------------------------------- files


def text_named_png(path: Path) -> None:
    path.with_suffix(".png").write_text("no image")


def truncated_jpeg(path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(100, 0, (64, 64, 3))).save(stream, "JPEG")
    path.with_suffix(".jpg").write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])


def empty_file(path: Path) -> None:
    path.with_suffix(".png").touch()


def damaged_png(path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(100, 0)).save(stream, "PNG")
    raw = bytearray(stream.getvalue())
    raw[60] ^= 255
    path.with_suffix(".png").write_bytes(raw)


def bomb(edge: int) -> Callable[[Path], None]:
    """A sound PNG of some kilobytes that unpacks to ``edge`` x ``edge`` black pixels of one bit."""

    def write(path: Path) -> None:
        def chunk(kind: bytes, body: bytes) -> bytes:
            return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

        header = struct.pack(">IIBBBBB", edge, edge, 1, 0, 0, 0, 0)
        rows = zlib.compress(bytes(edge * (1 + (edge + 7) // 8)), 1)
        raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
        path.with_suffix(".png").write_bytes(raw)

    return write


def broken_link(path: Path) -> None:
    path.with_suffix(".png").symlink_to("nowhere.png")


UNREADABLE = [
    (text_named_png, "not an image file"),
    (truncated_jpeg, "damaged or truncated"),
    (empty_file, "not an image file"),
    (damaged_png, "damaged or truncated"),
    (bomb(20_000), "pixels exceed the limit of 89,478,485"),
    (bomb(10_000), "10000x10000 pixels exceed the limit of 89,478,485"),  # of such a size Pillow only warns
    (broken_link, "the file does not exist"),
]


def quarters() -> np.ndarray:
    """Four grey quarters, one JPEG block each: 20, 90 above 160, 230."""
    return np.kron(np.array([[20, 90], [160, 230]], np.uint8), np.ones((8, 8), np.uint8))


def odd_images(folder: Path) -> dict[str, tuple[np.ndarray, float]]:
    """Files of every kind, with the pixels that must reach the network, by hand, and a tolerance."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    expected: dict[str, tuple[np.ndarray, float]] = {}

    def keep(name: str, image: Image.Image, pixels: np.ndarray, tolerance: float = 0, **options: Any) -> None:
        image.save(folder / name, **options)
        expected[name] = np.broadcast_to(pixels, (EDGE, EDGE, 3)), tolerance

    indices = rng.integers(0, 3, (EDGE, EDGE), np.uint8)
    colours = np.array([[250, 10, 30], [0, 200, 90], [5, 6, 250]], np.uint8)
    paletted = Image.fromarray(indices, "P")
    paletted.putpalette(colours.tobytes())
    keep("palette.png", paletted, colours[indices])
    keep("moving.gif", paletted, colours[indices], save_all=True, append_images=[Image.new("RGB", (EDGE, EDGE))])
    ramp = np.linspace(0, 65535, EDGE * EDGE).astype(np.uint16).reshape(EDGE, EDGE)
    keep("sixteen.png", Image.fromarray(ramp), ramp[..., None] / 257, 1)
    twelve = ramp // 16
    keep("twelve.png", Image.fromarray(twelve), twelve[..., None] * (255 / 4095), 1)
    keep("twelve.tif", Image.fromarray(twelve.T.copy()), twelve.T[..., None] * (255 / 4095), 1)
    ink = np.zeros((EDGE, EDGE, 4), np.uint8)
    ink[:, 8:] = (0, 255, 255, 0)  # magenta and yellow make red, no ink leaves white
    red = np.where(np.arange(EDGE)[None, :, None] < 8, 255, np.array([255, 0, 0]))
    keep("ink.jpg", Image.fromarray(ink, "CMYK"), red, 12, quality=95, subsampling=0)
    rgba = rng.integers(0, 256, (EDGE, EDGE, 4), np.uint8)
    keep("alpha.png", Image.fromarray(rgba), rgba[..., :3] * (rgba[..., 3:] / 255), 1)
    bits = rng.integers(0, 2, (EDGE, EDGE), np.uint8)
    keep("bits.png", Image.fromarray(bits * 255).convert("1"), 255 * bits[..., None])
    exif = Image.Exif()
    exif[274] = 6  # "turn it right by 90 degrees to look at it"
    turned = np.rot90(quarters(), -1)[..., None]
    keep("turned.jpg", Image.fromarray(quarters()), turned, 4, exif=exif, quality=95)
    return expected
