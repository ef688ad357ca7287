"""``medplug cache``: what the cache of decoded images holds, and removing it."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medplug.data.store.cache import Entry

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def register(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "cache",
        help="what the cache of decoded images holds, and removing it",
        description="Decoded images are kept, so that the next run on the same images reads none of them. They can be removed "
        "at any time: the images are then decoded again. MEDPLUG_CACHE sets the folder, MEDPLUG_CACHE_LIMIT its size.",
    )
    actions = parser.add_subparsers(dest="what", metavar="ACTION", required=True)
    info = actions.add_parser("info", help="entries, their sizes, what they hold, and when they were used last")
    info.set_defaults(action=show)
    clear = actions.add_parser("clear", help="remove entries that no process uses now")
    clear.add_argument(
        "--older-than", type=_days, default=0.0, metavar="DAYS", help="only those that were not used for so many days"
    )
    clear.set_defaults(action=remove)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days")
    return days


def show(parsed: argparse.Namespace) -> int:
    """Run ``medplug cache info``."""
    from medplug.data.store import cache

    found = cache.entries()
    total = sum(entry.size for entry in found)
    print(f"decoded images: {cache.root()}")
    print(f"  {size(total)} in {len(found)} entries; at most {size(cache.limit())} ({cache.LIMIT} changes that)")
    for entry in found:
        print(
            f"  {size(entry.size):>10}  used {_when(entry.used)}  {describe(entry)}{', in use' if entry.in_use else ''}"
        )
    for other in sorted(path for path in cache.cache_folder().glob("*") if path.is_dir() and path != cache.root()):
        print(f"beside them: {other} ({size(cache.size_of(other))}), which 'medplug cache clear' leaves")
    return 0


def remove(parsed: argparse.Namespace) -> int:
    """Run ``medplug cache clear``."""
    from medplug.data.store import cache

    removed, left = cache.clear(parsed.older_than)
    print(f"removed {len(removed)} entries, {size(sum(entry.size for entry in removed))}")
    for entry in left:
        print(f"left, because a process uses it: {describe(entry)}, {size(entry.size)}")
    return 0


def describe(entry: Entry) -> str:
    """What an entry holds, in words."""
    about = entry.about
    if entry.kind == "unfinished":
        return "of a process that was stopped; the next run on the same images goes on with it"
    if entry.kind == "other version" or not about:
        return "of another version of medplug, which this one cannot use"
    what = f"{about.get('count', '?')} images of {about.get('source') or 'Python'}"
    if entry.kind == "facts":
        return f"facts and thumbnails of {what}"
    shape = " x ".join(map(str, about.get("shape", ())))
    return f"{what}, decoded to {shape}"


def size(number: float) -> str:
    """Bytes in the largest unit that leaves a number from 1 on.

    >>> size(3.5 * 2**30)
    '3.5 GiB'
    """
    unit = 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
