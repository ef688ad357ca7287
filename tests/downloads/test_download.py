"""Downloads, against a server on this machine that can cut, refuse ranges, and lie."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib import error, request

import pytest

from medplug.downloads import Download, bar, cache_folder, download
from medplug.errors import DataError, WeightsError

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server does, and the ``Range`` header of each request that it got (empty where there was none)."""

    content: bytes = CONTENT
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  # bytes after which to cut: one entry per answer
    status: int = 200
    redirect: str = ""
    says_length: bool = True
    shift: int = 0  # how far a partial answer begins from where it was asked to
    delay: float = 0.0
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def download(self, **changes: Any) -> Download:
        values = {"url": self.url, "sha256": SHA256, "size": None, "source": "a test", "licence": "none", **changes}
        return Download(**values)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append(wanted)
            time.sleep(state.delay)
            if self.path == "/away/weights.pth":
                self.answer(302, {"Location": state.redirect})
                return
            if state.status != 200:
                self.answer(state.status, {"Content-Length": "0"})
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.ranges else 0
            size = len(state.content)
            if start >= size:
                self.answer(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                return
            start += state.shift if start else 0
            headers = {"Content-Length": str(size - start)} if state.says_length else {}
            if start:
                headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
            body = state.content[start:]
            if state.cuts:
                body = body[: state.cuts.pop(0)]
            self.answer(206 if start else 200, headers, body)

        def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # the client may have heard enough
                self.wfile.write(body)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}/models/weights-{SHA256[:8]}.pth"
        yield state
        http.shutdown()
        thread.join()


def part_of(download: Download, cache: Path) -> Path:
    return cache / f"{download.file_name}.part"


def test_downloads_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download = server.download(size=len(CONTENT))
    path = download.fetch(tmp_path / "a" / "b", lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "a" / "b" / f"weights-{SHA256[:8]}.pth"
    assert path.read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert download.fetch(tmp_path / "a" / "b") == path
    assert server.asked == [""]
    assert not part_of(download, path.parent).exists()


def test_prefix_of_a_hash_and_unknown_length(server: Server, tmp_path: Path) -> None:
    server.says_length = False
    seen: list[int | None] = []
    path = server.download(sha256=SHA256[:8]).fetch(tmp_path, lambda _, total: seen.append(total))
    assert path.read_bytes() == CONTENT
    assert set(seen) == {None}


def test_file_name_carries_the_hash(server: Server) -> None:
    assert server.download().file_name == f"weights-{SHA256[:8]}.pth"
    plain = server.download(url="https://example.org/a/model.safetensors?download=true")
    assert plain.file_name == f"{SHA256[:8]}-model.safetensors"


def test_cut_and_resumed_within_one_call(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000, 200_000]
    assert server.download().fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-", "bytes=500000-"]


def test_cut_and_resumed_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000, 0]
    download = server.download()
    with pytest.raises(WeightsError, match=r"cut after 300,000 of 1,024,000 bytes; 300,000 bytes are kept"):
        download.fetch(tmp_path)
    assert part_of(download, tmp_path).read_bytes() == CONTENT[:300_000]
    seen: list[int] = []
    assert download.fetch(tmp_path, lambda done, _: seen.append(done)).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=300000-"
    assert seen[0] == 300_000


def test_connections_that_keep_breaking_end(server: Server, tmp_path: Path) -> None:
    server.cuts = [10] * 50
    with pytest.raises(WeightsError, match="the next call goes on from there"):
        server.download().fetch(tmp_path)
    assert len(server.asked) == 4


def test_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    download = server.download()
    part_of(download, tmp_path).write_bytes(CONTENT[:1000])
    assert download.fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_wrong_range_is_not_appended(server: Server, tmp_path: Path) -> None:
    server.shift = 7
    download = server.download()
    part_of(download, tmp_path).write_bytes(CONTENT[:1000])
    seen: list[int] = []
    assert download.fetch(tmp_path, lambda done, _: seen.append(done)).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", ""]
    assert seen[0] == 0


def test_part_of_another_version(server: Server, tmp_path: Path) -> None:
    download = server.download()
    part_of(download, tmp_path).write_bytes(b"x" * 1000)
    assert download.fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", ""]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_part_longer_than_the_file(server: Server, tmp_path: Path, size: int | None) -> None:
    download = server.download(size=size)
    part_of(download, tmp_path).write_bytes(b"x" * (len(CONTENT) + 5))
    assert download.fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == ""


def test_complete_part_needs_no_network(server: Server, tmp_path: Path) -> None:
    download = server.download()
    part_of(download, tmp_path).write_bytes(CONTENT)
    assert download.fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_wrong_hash_is_removed(server: Server, tmp_path: Path) -> None:
    download = server.download(sha256="0" * 8)
    with pytest.raises(
        WeightsError, match=rf"was removed: 1,024,000 bytes with SHA-256 {SHA256}, expected 00000000\.\.\."
    ) as e:
        download.fetch(tmp_path)
    assert server.url in str(e.value)
    assert "weights=PATH" in str(e.value)
    assert [p.suffix for p in tmp_path.iterdir()] == [".lock"]
    assert server.asked == [""]


def test_damaged_file_in_the_cache(server: Server, tmp_path: Path) -> None:
    download = server.download()
    (tmp_path / download.file_name).write_bytes(CONTENT[:-1] + b"x")
    with pytest.warns(UserWarning, match=r"was damaged .* and removed"):
        assert download.fetch(tmp_path).read_bytes() == CONTENT


def test_wrong_size(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="offers 1,024,000 bytes, expected 5,000"):
        server.download(size=5000).fetch(tmp_path)
    server.says_length = False
    with pytest.raises(WeightsError, match="more than the 5,000 bytes expected"):
        server.download(size=5000).fetch(tmp_path)


@pytest.mark.parametrize("status", [404, 403, 416, 500])
def test_refusals_of_the_server(server: Server, tmp_path: Path, status: int) -> None:
    server.status = status
    with pytest.raises(WeightsError, match=f"the server answers {status}") as caught:
        server.download().fetch(tmp_path)
    for option in ("weights=PATH", "weights=None", "architecture whose weights are installed", server.url):
        assert option in str(caught.value)


def test_no_network(tmp_path: Path, server: Server) -> None:
    with socket.socket() as closed:  # bound but not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/weights.pth"
        start = time.monotonic()
        with pytest.raises(WeightsError, match=r"cannot be reached: .*refused") as caught:
            server.download(url=url).fetch(tmp_path)
    assert time.monotonic() - start < 2
    for option in ("weights=PATH", "weights=None", "architecture whose weights are installed", url):
        assert option in str(caught.value)


def test_silent_server(server: Server, tmp_path: Path) -> None:
    server.delay = 1.0
    with pytest.raises(WeightsError, match=r"cannot be reached: .*timed out"):
        server.download().fetch(tmp_path, timeout=0.1)


def test_redirects(server: Server, tmp_path: Path) -> None:
    server.redirect, away = server.url, server.url.replace(f"/models/weights-{SHA256[:8]}", "/away/weights")
    assert server.download(url=away).fetch(tmp_path).read_bytes() == CONTENT
    for target in ("file:///etc/hostname", "ftp://127.0.0.1/x.pth"):
        server.redirect = target
        with pytest.raises(WeightsError, match=r"redirection to|not allowed"):
            server.download(url=away).fetch(tmp_path / "other")


SCRIPT = """
import sys
from pathlib import Path
from medplug.downloads import Download
print(Download(sys.argv[1], sys.argv[2], None, "a test", "none").fetch(Path(sys.argv[3])))
"""


def test_two_processes_share_one_download(server: Server, tmp_path: Path) -> None:
    server.delay = 1.5
    command = [sys.executable, "-c", SCRIPT, server.url, SHA256, str(tmp_path)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [run.communicate(timeout=60)[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert set(outputs) == {str(tmp_path / f"weights-{SHA256[:8]}.pth")}
    assert Path(outputs[0]).read_bytes() == CONTENT
    assert server.asked == [""]


def test_bar_appears_when_it_takes_long(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    server.download().fetch(tmp_path / "quick")
    assert isinstance(sys.stderr, io.StringIO)
    assert sys.stderr.getvalue() == ""
    monkeypatch.setattr(bar, "DELAY", 0.0)
    server.download().fetch(tmp_path / "slow")
    assert "downloading weights-" in sys.stderr.getvalue()


def test_unusable_cache(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match=r"cannot be written: .*MEDPLUG_CACHE"):
        server.download().fetch(tmp_path / "file" / "cache")


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server) -> None:
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "weights"
    assert server.download().fetch().parent == tmp_path / "weights"
    monkeypatch.delenv("MEDPLUG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / "xdg" / "medplug" / "weights"
    assert cache_folder().name == "weights"
    assert os.fspath(cache_folder()).count("medplug")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "file:///etc/passwd"},
        {"url": "ftp://example.org/x.pth"},
        {"url": "http:///x.pth"},
        {"url": "https://example.org/"},
        {"url": "https://example.org/%2e%2e"},
        {"url": "https://example.org/..%2fx"},
        {"sha256": "abc"},
        {"sha256": "X" * 64},
        {"sha256": "a" * 65},
        {"size": 0},
        {"md5": "abc"},
    ],
)
def test_impossible_downloads(server: Server, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Download.{next(iter(wrong))}"):
        server.download(**wrong)


# ---------------------------------------------------------------- data sets

MD5 = hashlib.md5(CONTENT).hexdigest()


def dataset(server: Server, **changes: Any) -> Download:
    return server.download(sha256="", md5=MD5, kind="datasets", advice="Take the train.", **changes)


def test_a_data_set_keeps_its_name_and_is_not_hashed_again_where_it_is_trusted(server: Server, tmp_path: Path) -> None:
    wanted = dataset(server, url=server.url.rsplit("/", 1)[0] + "/pathmnist.npz?download=1")
    path = wanted.fetch(tmp_path)
    assert path == tmp_path / "pathmnist.npz"
    assert path.read_bytes() == CONTENT
    path.write_bytes(b"mine")
    assert wanted.fetch(tmp_path, trust=True).read_bytes() == b"mine"
    with pytest.warns(UserWarning, match="was damaged"):
        assert wanted.fetch(tmp_path).read_bytes() == CONTENT


def test_a_data_set_that_is_not_the_published_one(server: Server, tmp_path: Path) -> None:
    server.content = b"not the file"
    with pytest.raises(DataError) as told:
        dataset(server).fetch(tmp_path)
    assert f"12 bytes with MD5 {hashlib.md5(b'not the file').hexdigest()}, expected {MD5}" in str(told.value)
    assert str(told.value).endswith("Take the train.")
    assert [p.suffix for p in tmp_path.iterdir()] == [".lock"]


def test_encryption_is_not_given_up() -> None:
    safe, asked = download._SafeRedirects(), request.Request("https://zenodo.org/x.npz")
    assert safe.redirect_request(asked, None, 302, "", {}, "https://elsewhere.org/x.npz") is not None
    with pytest.raises(error.HTTPError, match="is not followed"):
        safe.redirect_request(asked, None, 302, "", {}, "http://elsewhere.org/x.npz")


def test_a_full_disk_is_told_before_it_is_full(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int = 1_000_000
        used: int = 999_000
        free: int = 1000

    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: Usage())
    with pytest.raises(WeightsError, match=r"1 MiB are to come, but .* has room for 0 MiB; choose another folder"):
        server.download().fetch(tmp_path)


def test_each_kind_has_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path))
    assert cache_folder("datasets") == tmp_path / "datasets"
