"""Files from the network, fetched once: resumed after a cut, checked against a published hash, put down whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib import error, request
from urllib.parse import unquote, urlsplit

from medplug.downloads.bar import progress_bar
from medplug.errors import DataError, MedplugError, WeightsError

Progress = Callable[[int, int | None], None]

CHUNK = 1 << 18
ATTEMPTS = 4
Kind = Literal["weights", "datasets"]
_ERRORS: dict[str, type[MedplugError]] = {"weights": WeightsError, "datasets": DataError}
_ADVICE = {
    "weights": "Without this download you can give the path of a weights file that you have (weights=PATH), start from "
    "random weights (weights=None), or choose an architecture whose weights are installed with its plugin.",
    "datasets": "Without this download you can give the path of a file that you have.",
}


class _CutError(Exception):
    """The connection broke before the end of the file; the message says how."""


@dataclass(frozen=True)
class Download:
    """A file on the network, and what is known of it.

    Attributes:
        url: http or https.
        sha256: the SHA-256 of the file in hexadecimal, or its beginning of at least 8 digits where only these are
            published (torchvision puts them into its file names); empty where an MD5 is published instead.
        size: bytes, or None where unknown.
        source: who publishes the file, for messages and the record of a run.
        licence: under which terms.
        md5: the MD5 of the file in hexadecimal, or empty.
        kind: what the file is for: names its folder in the cache, and the kind of error.
        advice: what else the user can do, for messages; by default what suits the kind.
    """

    url: str
    sha256: str
    size: int | None
    source: str
    licence: str
    md5: str = ""
    kind: Kind = "weights"
    advice: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"Download.url must be an http or https address, got {self.url!r}")
        if self.md5 and not re.fullmatch(r"[0-9a-f]{32}", self.md5):
            raise ValueError(f"Download.md5 must be 32 hexadecimal digits in lower case, got {self.md5!r}")
        if (self.sha256 or not self.md5) and not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise ValueError(f"Download.sha256 must be 8 to 64 hexadecimal digits in lower case, got {self.sha256!r}")
        if self.size is not None and self.size < 1:
            raise ValueError(f"Download.size must be positive or None, got {self.size}")
        if not re.fullmatch(r"\w[\w.+-]*", self._url_name):
            raise ValueError(f"Download.url must end in a plain file name, got {self.url!r}")

    @property
    def file_name(self) -> str:
        """The name in the cache: the address' last part; of weights the hash's first digits in front if it lacks them.

        Data sets keep the name by which their readers know them.
        """
        digits = self.sha256[:8] if self.kind == "weights" else ""
        return self._url_name if digits in self._url_name else f"{digits}-{self._url_name}"

    def fetch(
        self, cache: Path | None = None, progress: Progress | None = None, timeout: float = 20, *, trust: bool = False
    ) -> Path:
        """The path of the file in the cache, after downloading it if it is not there yet.

        What a broken download left behind is continued. Two processes that want the same file share one download.

        Args:
            cache: the folder; by default that of its kind in ``$MEDPLUG_CACHE`` or in the user's cache of medplug.
            progress: called with the bytes so far and their total, or None while it is unknown; by default a bar
                appears on standard error when it takes longer than a second.
            timeout: seconds without an answer after which to give up.
            trust: take a file that is already there without hashing it again: it got its name when its hash was right.

        Raises:
            WeightsError, or DataError of data sets: no connection, an answer other than the file, a wrong hash, a full
                disk, an unusable cache folder.
        """
        target = (cache or cache_folder(self.kind)) / self.file_name
        if target.is_file() and (trust or self._fits(target)):
            return target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _locked(target.with_name(f"{target.name}.lock")):
                self._fill(target, progress, timeout)
        except OSError as problem:
            raise _ERRORS[self.kind](
                f"{target}: cannot be written: {problem.strerror or problem}. Choose another folder with MEDPLUG_CACHE."
            ) from None
        return target

    def _error(self, problem: str) -> MedplugError:
        return _ERRORS[self.kind](f"{self.url}: {problem}. {self.advice or _ADVICE[self.kind]}")

    @property
    def _url_name(self) -> str:
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    def _fits(self, path: Path) -> bool:
        if self.size is not None and path.stat().st_size != self.size:
            return False
        return _digest(path, self._algorithm).startswith(self.sha256 or self.md5)

    @property
    def _algorithm(self) -> str:
        return "sha256" if self.sha256 else "md5"

    def _fill(self, target: Path, progress: Progress | None, timeout: float) -> None:
        if target.exists():
            if self._fits(target):  # another process was faster
                return
            target.unlink()
            warnings.warn(f"{target} was damaged (wrong size or hash) and removed; downloading it anew", stacklevel=3)
        part = target.with_name(f"{target.name}.part")
        with progress_bar(f"downloading {self.file_name}", progress) as report:
            self._complete(part, report, timeout)
        os.replace(part, target)

    def _complete(self, part: Path, report: Progress, timeout: float) -> None:
        """Bring the part to its end, with a few new connections as long as each brings something."""
        for attempt in range(ATTEMPTS):
            before = _size(part)
            if before and self._fits(part):
                return
            try:
                self._transfer(part, report, timeout)
            except _CutError as cut:
                if attempt + 1 < ATTEMPTS and _size(part) > before:
                    continue
                raise self._error(f"{cut}; {_size(part):,} bytes are kept, the next call goes on from there") from None
            if self._fits(part):
                return
            found, length = _digest(part, self._algorithm), _size(part)
            part.unlink()
            if not before:
                expected = f"{self.sha256 or self.md5}{'...' if 0 < len(self.sha256) < 64 else ''}"
                raise self._error(
                    f"the downloaded file is not the published one and was removed: {length:,} bytes with "
                    f"{'SHA-256' if self.sha256 else 'MD5'} {found}, expected {expected}"
                )
            # The part was of another version of the file: once more from the start.
        raise self._error(f"given up after {ATTEMPTS} attempts")

    def _transfer(self, part: Path, report: Progress, timeout: float) -> None:
        start = _size(part)
        if self.size is not None and start >= self.size:
            start = 0
        response = self._open(start, timeout)
        if start and response is None:  # the server has no such range
            start, response = 0, self._open(0, timeout)
        if response is None:
            raise self._error("the server refuses to send the file")
        with response:
            if response.status != http.client.PARTIAL_CONTENT:
                start = 0  # the server ignores ranges and sends the whole file
            total = self._total(response, start)
            self._check_room(part, (total or start) - start)
            with part.open("ab" if start else "wb") as file:
                self._copy(response, file, start, total, report)

    def _open(self, start: int, timeout: float) -> Any:
        """The answer to a request for the file from byte ``start``; None where that range does not exist."""
        headers = {"User-Agent": "medplug", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            response = _opener().open(request.Request(self.url, headers=headers), timeout=timeout)
        except error.HTTPError as answer:
            with answer:
                if answer.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                    return None
                raise self._error(f"the server answers {answer.code} {answer.reason}") from None
        except (OSError, http.client.HTTPException) as problem:
            reason = getattr(problem, "reason", problem)
            raise self._error(f"cannot be reached: {reason}") from None
        partial = response.status == http.client.PARTIAL_CONTENT
        if partial and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            response.close()
            return None
        return response

    def _total(self, response: Any, start: int) -> int | None:
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        if None not in (total, self.size) and total != self.size:
            raise self._error(f"the server offers {total:,} bytes, expected {self.size:,}")
        return total if total is not None else self.size

    def _check_room(self, part: Path, needed: int) -> None:
        free = shutil.disk_usage(part.parent).free
        if needed > free:
            raise self._error(
                f"{needed / 2**20:,.0f} MiB are to come, but {part.parent} has room for {free / 2**20:,.0f} MiB; choose "
                "another folder with MEDPLUG_CACHE"
            )

    def _copy(self, response: Any, file: IO[bytes], done: int, total: int | None, report: Progress) -> None:
        report(done, total)
        while chunk := _read(response):
            file.write(chunk)
            done += len(chunk)
            if total is not None and done > total:
                raise self._error(f"the server sends more than the {total:,} bytes expected")
            report(done, total)
        if total is not None and done < total:
            raise _CutError(f"the connection was cut after {done:,} of {total:,} bytes")


def cache_folder(kind: Kind = "weights") -> Path:
    """The folder of downloads of a kind: ``weights`` in ``$MEDPLUG_CACHE``, else in the user's cache of medplug."""
    root = os.environ.get("MEDPLUG_CACHE")
    if root:
        return Path(root).expanduser() / kind
    import platformdirs

    return Path(platformdirs.user_cache_dir("medplug")) / kind


# ---------------------------------------------------------------- network and files


class _SafeRedirects(request.HTTPRedirectHandler):
    """Redirects from http to http or https, and from https to https only."""

    def redirect_request(self, req: request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and not (scheme == req.type == "http"):
            raise error.HTTPError(req.full_url, code, f"redirection to {newurl} is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """An opener of http and https alone: the usual one also opens files and FTP."""
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


def _read(response: Any) -> bytes:
    try:
        return response.read1(CHUNK)
    except (OSError, http.client.HTTPException) as problem:
        raise _CutError(f"the connection broke ({problem or type(problem).__name__})") from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the system releases when the process ends, however it ends; the file itself stays."""
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                with suppress(OSError):  # tries for ten seconds, then raises
                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield
