import http.client
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from wassergan.errors import WorkError
from wassergan.report.serve import PageServer
from wassergan.runs.page import page_of


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


def test_the_page_is_written_where_it_is_missing_or_old(cli: Callable[..., Any], run: Path) -> None:
    page = run / "report.html"
    page.unlink()
    assert cli("open", run).out == f"{page}\n" and page.stat().st_size > 1000
    page.write_text("own")
    assert cli("open", run).out == f"{page}\n" and page.read_text() == "own"
    later = page.stat().st_mtime + 10
    os.utime(run / "log.jsonl", (later, later))
    assert page_of(run) == page and page.read_text() != "own"


def test_what_cannot_be_opened(refused: Callable[..., str], run: Path, tmp_path: Path) -> None:
    assert "There is no run" in refused("open", tmp_path / "gone")
    assert "A port is for --serve" in refused("open", run, "--port", 8000)
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(tmp_path / "elsewhere")
    assert "no part of the run" in refused("open", run)
    assert not (tmp_path / "elsewhere").exists()


@contextmanager
def served(page: Path) -> Iterator[PageServer]:
    with PageServer(page) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()


def asked(server: PageServer, path: str, *, host: str | None = None, method: str = "GET") -> tuple[int, bytes, Any]:
    port = int(server.address.rstrip("/").rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def test_only_the_page_is_served_and_only_to_this_machine(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<p>as it is now</p>")
    (tmp_path / "secret").write_text("secret")
    with served(page) as server:
        assert server.address.startswith("http://127.0.0.1:")
        status, content, headers = asked(server, "/")
        assert (status, content) == (200, b"<p>as it is now</p>")
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert asked(server, "/", method="HEAD")[:2] == (200, b"")
        for path in ("/secret", "/../secret", "//secret", "/%2e%2e/secret", "/report.html/../secret"):
            assert asked(server, path)[0] == 404
        for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:80"):
            assert asked(server, "/", host=host)[0] == 403
        assert asked(server, "/", method="POST")[0] == 501
        page.write_text("<p>later</p>")
        assert asked(server, "/report.html")[1] == b"<p>later</p>"
        page.unlink()
        page.symlink_to(tmp_path / "secret")
        assert asked(server, "/")[0] == 404


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with PageServer(tmp_path / "a") as first:
        port = int(first.address.rstrip("/").rpartition(":")[2])
        with pytest.raises(WorkError, match="cannot be used"):
            PageServer(tmp_path / "a", port=port)
