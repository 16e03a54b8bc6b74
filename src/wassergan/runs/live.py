"""The page of a run while it trains, on this machine alone."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from wassergan.callbacks import Callback
from wassergan.config.settings import ResolvedSettings
from wassergan.data import Source
from wassergan.report.serve import PageServer
from wassergan.runs.recorder import write_run_report
from wassergan.storage.run_folder import RunFolder
from wassergan.training import Trainer

REFRESH_SECONDS = 5
LONGEST_WAIT_SECONDS = 3 * REFRESH_SECONDS  # for a browser that has been asking
PAGE_SHARE = 0.02  # of the run's time may go into writing the page


class LivePage(Callback):
    """Writes the run's page at ticks and serves it on 127.0.0.1; browsers that show it ask for it every few seconds.

    At the end the last page stays in the browser: where one has been asking, the server waits until it has it.

    Args:
        port: 0 takes a free one.
        say: receives the address.

    Raises:
        WorkError: the port is taken.
    """

    def __init__(self, *, port: int = 0, say: Callable[[str], None] = lambda sentence: None) -> None:
        self._port, self._say = port, say
        self._server: PageServer | None = None
        self._due = 0.0

    @property
    def address(self) -> str:
        """Where the page is; empty before training begins and after its end."""
        return self._server.address if self._server else ""

    def on_train_begin(self, settings: ResolvedSettings, source: Source, folder: RunFolder, trainer: Trainer) -> None:
        """Start to serve."""
        self._folder = folder
        self._server = PageServer(folder.report, port=self._port, refresh_seconds=REFRESH_SECONDS)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        self._say(f"Live page:  {self.address}")

    def on_tick(self, record: Mapping[str, Any]) -> None:
        """Write the page, unless that took much of the time since the last."""
        started = time.perf_counter()
        if started >= self._due:
            write_run_report(self._folder.path)
            ended = time.perf_counter()
            self._due = ended + (ended - started) / PAGE_SHARE

    def on_close(self) -> None:
        """Serve the last page once more to a browser that has been asking, then end."""
        if self._server is None:
            return
        served, self._server = self._server, None
        with served:
            served.refresh_seconds = 0
            if served.asked_at > time.monotonic() - LONGEST_WAIT_SECONDS:
                served.given_last.wait(LONGEST_WAIT_SECONDS)
            served.stop()
            self._thread.join()
