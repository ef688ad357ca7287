"""Downloads, against a server on this machine that can cut, refuse ranges, and send something else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib import error, request

import pytest

from medplug.plugins import DataError
from medplug_datasets import download, progress
from medplug_datasets.download import cache_folder, fetch

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Server:
    """What the server does, and the ``Range`` header of each request (empty where there was none)."""

    content: bytes = CONTENT
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)  # bytes after which to cut: one entry for each answer
    status: int = 200
    redirect: str = ""
    shift: int = 0
    says_length: bool = True
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append(wanted)
            if state.redirect and not self.path.endswith("/there.npz"):
                self.answer(302, {"Location": state.redirect})
            elif state.status != 200:
                self.answer(state.status, {"Content-Length": "0"})
            else:
                self.send(int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.ranges else 0)

        def send(self, start: int) -> None:
            size = len(state.content)
            if start >= size:
                self.answer(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                return
            start += state.shift if start else 0
            headers = {"Content-Length": str(size - start)} if state.says_length else {}
            if start:
                headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
            body = state.content[start:]
            self.answer(206 if start else 200, headers, body[: state.cuts.pop(0)] if state.cuts else body)

        def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(body)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_port}/files/pathmnist.npz"
        yield state
        http.shutdown()
        thread.join()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "pathmnist.npz"
    assert fetch(server.url, target, MD5) == target
    assert target.read_bytes() == CONTENT
    fetch(server.url, target, MD5)
    assert server.asked == [""]
    assert sorted(p.name for p in target.parent.iterdir()) == ["pathmnist.npz", "pathmnist.npz.lock"]


def test_a_cut_download_goes_on_by_itself(server: Server, tmp_path: Path) -> None:
    server.cuts = [200_000, 100_000]
    assert fetch(server.url, tmp_path / "x.npz", MD5).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=200000-", "bytes=300000-"]


def test_what_is_kept_is_continued_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.cuts = [100_000, 0]
    with pytest.raises(DataError, match=r"100,000 bytes are kept, the next call goes on from there\. Take the train"):
        fetch(server.url, tmp_path / "x.npz", MD5, "Take the train")
    assert not (tmp_path / "x.npz").exists()
    assert (tmp_path / "x.npz.part").stat().st_size == 100_000
    assert fetch(server.url, tmp_path / "x.npz", MD5).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=100000-"
    assert not (tmp_path / "x.npz.part").exists()


@pytest.mark.parametrize("how", ["no ranges", "shifted"])
def test_servers_without_ranges_begin_anew(how: str, server: Server, tmp_path: Path) -> None:
    server.ranges, server.shift = how == "shifted", 7 if how == "shifted" else 0
    (tmp_path / "x.npz.part").write_bytes(CONTENT[:1000])
    assert fetch(server.url, tmp_path / "x.npz", MD5).read_bytes() == CONTENT


@pytest.mark.parametrize("part", [CONTENT[:999] + b"!", CONTENT, CONTENT + b"more"], ids=["other", "whole", "longer"])
def test_whatever_the_part_is_the_file_is_right(part: bytes, server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.npz.part").write_bytes(part)
    assert fetch(server.url, tmp_path / "x.npz", MD5).read_bytes() == CONTENT


def test_a_wrong_file_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.content = b"not the file"
    with pytest.raises(DataError) as told:
        fetch(server.url, tmp_path / "x.npz", MD5)
    assert f"12 bytes with MD5 {hashlib.md5(b'not the file').hexdigest()}, published is {MD5}" in str(told.value)
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz.lock"]


def test_answers_and_silence_are_told(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match="the server answers 404 Not Found"):
        fetch(server.url, tmp_path / "x.npz", MD5)
    with pytest.raises(DataError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/x.npz", tmp_path / "x.npz", MD5, timeout=2)
    for address in ("file:///etc/hostname", "ftp://127.0.0.1/x.npz", "x.npz"):
        with pytest.raises(DataError, match="not an http or https address"):
            fetch(address, tmp_path / "x.npz", MD5)


def test_redirections_stay_on_the_web(server: Server, tmp_path: Path) -> None:
    server.redirect = "file:///etc/hostname"
    with pytest.raises(DataError, match="the server answers 302"):
        fetch(server.url, tmp_path / "x.npz", MD5)
    server.redirect = server.url.replace("pathmnist.npz", "there.npz")
    assert fetch(server.url, tmp_path / "x.npz", MD5).read_bytes() == CONTENT


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
    with pytest.raises(DataError, match=r"has room for 0 MiB; choose another folder with MEDPLUG_CACHE"):
        fetch(server.url, tmp_path / "x.npz", MD5)


def test_an_unusable_cache_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written.*MEDPLUG_CACHE"):
        fetch(server.url, tmp_path / "file" / "x.npz", MD5)


def test_two_processes_share_one_download(server: Server, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from medplug_datasets.download import fetch\n"
        "fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3])"
    )
    command = [sys.executable, "-c", code, server.url, str(tmp_path / "x.npz"), MD5]
    runs = [subprocess.Popen(command) for _ in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    assert (tmp_path / "x.npz").read_bytes() == CONTENT
    assert server.asked == [""]


def test_progress_is_shown(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(progress, "DELAY", 0.0)
    fetch(server.url, tmp_path / "x.npz", MD5)
    assert "downloading x.npz" in capsys.readouterr().err


def test_a_file_of_unknown_length(server: Server, tmp_path: Path) -> None:
    server.says_length = False
    assert fetch(server.url, tmp_path / "x.npz", MD5).read_bytes() == CONTENT


def test_the_cache_is_medplugs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "datasets"
    monkeypatch.delenv("MEDPLUG_CACHE")
    assert cache_folder().parts[-2:] == ("medplug", "datasets")
