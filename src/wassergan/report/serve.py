"""A page served to this machine alone."""

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wassergan.errors import UserError, WorkError
from wassergan.storage.files import read_bytes

LOOPBACK = "127.0.0.1"
NOT_YET = b"<!doctype html><title>wassergan</title><p>The page follows with the first measurement of the run."
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
# The page's own style and script alone: nothing is fetched from anywhere, whatever a run's files say.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


class PageServer:
    """Serves one file at `/`, as it is when it is asked for, on 127.0.0.1.

    A request that names another host is refused: a page of a stranger whose name leads to this machine (DNS rebinding)
    reads nothing.

    Args:
        page: the HTML file; while there is none, an empty page is served.
        port: 0 takes a free one.
        refresh_seconds: browsers ask again after so long, until it is set to 0.

    Attributes:
        asked_at: when the page was last asked for, by `time.monotonic`; -inf before.
        given_last: set when the page was given out without a word to ask again.

    Raises:
        WorkError: the port is taken.
    """

    def __init__(self, page: Path, *, port: int = 0, refresh_seconds: int = 0) -> None:
        self.page, self.refresh_seconds, self.asked_at = page, refresh_seconds, -float("inf")
        self.given_last = threading.Event()
        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(self))
        except OSError as error:
            raise WorkError(
                f"Port {port} cannot be used", found=error.strerror or str(error), hint="name another one"
            ) from error
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}/"

    def run(self) -> None:
        """Serve until interrupted."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._server.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.server_close()


def _handler(served: PageServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version, timeout = "wassergan", "", 30

        def do_GET(self) -> None:  # the name that http.server looks for
            self._answer(with_content=True)

        def do_HEAD(self) -> None:
            self._answer(with_content=False)

        def _answer(self, *, with_content: bool) -> None:
            if not _HOST.fullmatch(self.headers.get("Host", "")):
                self.send_error(403, "Only 127.0.0.1 is served")
                return
            if self.path not in ("/", "/report.html"):
                self.send_error(404)
                return
            refresh, served.asked_at = served.refresh_seconds, time.monotonic()
            try:
                content = read_bytes(served.page, follow=False)
            except (OSError, UserError):
                if not refresh:
                    self.send_error(404, "The page is gone")
                    return
                content = NOT_YET
            self.send_response(200)
            if refresh:
                self.send_header("Refresh", str(refresh))
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Security-Policy", _POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if with_content:
                self.wfile.write(content)
                if not refresh:
                    served.given_last.set()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    return Handler
