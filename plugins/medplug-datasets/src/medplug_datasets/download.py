"""Files from the network, checked against the MD5 that their publisher tells: fetched once, resumed, put down whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib import error, request
from urllib.parse import urlsplit

import platformdirs

from medplug.plugins import DataError
from medplug_datasets.progress import shown

Report = Callable[[int, int | None], None]
_CHUNK = 1 << 18
_ATTEMPTS = 4


class _Cut(Exception):  # noqa: N818 - not an error yet: the next attempt goes on from there
    """The connection broke before the end of the file."""


def cache_folder() -> Path:
    """The folder of downloaded sets: ``datasets`` in ``$MEDPLUG_CACHE``, else in the user's cache of medplug."""
    root = os.environ.get("MEDPLUG_CACHE") or platformdirs.user_cache_dir("medplug")
    return Path(root).expanduser() / "datasets"


def fetch(url: str, target: Path, md5: str, advice: str = "", timeout: float = 20) -> Path:
    """The file at ``target``, after downloading it if it is not there yet.

    It appears under its name only when it is complete and its MD5 is right. What a broken download left behind
    (``NAME.part``) is continued. Two processes that want the same file share one download.

    Args:
        url: http or https.
        target: where to put it.
        md5: as published, in hexadecimal.
        advice: what else the user can do, for messages.
        timeout: seconds without an answer after which to give up.

    Raises:
        DataError: no connection, another answer than the file, a wrong MD5, a full disk.
    """
    if target.is_file():
        return target
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url}: not an http or https address")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(f"{target.name}.lock")):
            if not target.is_file():  # another process may have been faster
                part = target.with_name(f"{target.name}.part")
                with shown(f"downloading {target.name}") as report:
                    _complete(url, part, md5, report, advice, timeout)
                os.replace(part, target)
    except OSError as problem:
        raise DataError(
            f"{target}: cannot be written: {problem.strerror or problem}. Choose another folder with MEDPLUG_CACHE"
        ) from None
    return target


def _complete(url: str, part: Path, md5: str, report: Report, advice: str, timeout: float) -> None:
    """Bring the part to its end, with a few new connections as long as each brings something."""
    for attempt in range(_ATTEMPTS):
        before = _size(part)
        try:
            _transfer(url, part, report, advice, timeout)
        except _Cut as cut:
            if attempt + 1 < _ATTEMPTS and _size(part) > before:
                continue
            raise DataError(
                f"{url}: {cut}; {_size(part):,} bytes are kept, the next call goes on from there. {advice}".rstrip()
            ) from None
        if not part.exists():
            raise DataError(f"{url}: the server sends another part of the file than was asked for. {advice}".rstrip())
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found == md5:
            return
        length = _size(part)
        part.unlink()
        if not before:
            raise DataError(
                f"{url}: the downloaded file is not the published one and was removed: {length:,} bytes with MD5 {found}, "
                f"published is {md5}. {advice}".rstrip()
            )
        # The part was of another file: once more from the start.
    raise DataError(f"{url}: given up after {_ATTEMPTS} attempts. {advice}".rstrip())


def _transfer(url: str, part: Path, report: Report, advice: str, timeout: float) -> None:
    start = _size(part)
    response = _open(url, start, advice, timeout)
    if response is None:  # no such range: the part may be whole already, or of another file
        return
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            start = 0  # the server sends the whole file
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        _check_room(part, url, (total or start) - start)
        with part.open("ab" if start else "wb") as file:
            done = start
            report(done, total)
            while chunk := _read(response, done, total):
                file.write(chunk)
                done += len(chunk)
                report(done, total)
        if total is not None and done < total:
            raise _Cut(f"the connection was cut after {done:,} of {total:,} bytes")


def _open(url: str, start: int, advice: str, timeout: float) -> Any:
    """The answer to a request for the file from byte ``start``; None where that range does not exist."""
    headers = {"User-Agent": "medplug", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = _opener().open(request.Request(url, headers=headers), timeout=timeout)
    except error.HTTPError as answer:
        with answer:
            if answer.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return None
            raise DataError(f"{url}: the server answers {answer.code} {answer.reason}. {advice}".rstrip()) from None
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", problem)
        raise DataError(f"{url}: cannot be reached: {reason}. {advice}".rstrip()) from None
    partial = response.status == http.client.PARTIAL_CONTENT
    if partial and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        response.close()
        return None
    return response


def _read(response: Any, done: int, total: int | None) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as problem:
        of = f" of {total:,}" if total else ""
        raise _Cut(f"the connection broke after {done:,}{of} bytes ({problem or type(problem).__name__})") from None


def _check_room(part: Path, url: str, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise DataError(
            f"{url}: {needed / 2**20:,.0f} MiB are to come, but {part.parent} has room for {free / 2**20:,.0f} MiB; "
            "choose another folder with MEDPLUG_CACHE"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class _SafeRedirects(request.HTTPRedirectHandler):
    """From http to http or https, from https to https only."""

    def redirect_request(self, req: request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and not (scheme == req.type == "http"):
            raise error.HTTPError(req.full_url, code, f"redirection to {newurl} is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """Only http and https: the usual opener also takes files and FTP, to which a server could redirect."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        _SafeRedirects(),
        request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when the process ends, however it ends."""
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                file.seek(0)
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # tries for ten seconds, then raises
                    break
                except OSError:
                    continue
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield
