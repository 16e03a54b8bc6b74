"""`wassergan open`."""

import os
import sys
from pathlib import Path

import click

from wassergan.cli.echo import echo, say
from wassergan.errors import UserError


@click.command("open")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--serve", is_flag=True, help="Serve the page to this machine alone, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of --serve; a free one unless given.")
@click.option("--no-browser", is_flag=True, help="Print the path or address alone.")
def open_(run: Path, serve: bool, port: int | None, no_browser: bool) -> None:
    """Open the page of the run in folder RUN; it is written first where it is missing or older than the run.

    \b
    Examples:
      wassergan open runs/digits
      wassergan open runs/digits --serve --port 8000

    Prints the path of the page, and opens it in a browser where there is a screen. With --serve the page is served on
    127.0.0.1 and nowhere else: for a remote machine, forward the port with ssh -L.
    """
    if port is not None and not serve:
        raise UserError("A port is for --serve", found=f"--port {port}", hint="add --serve, or leave it out")
    from wassergan.runs.page import page_of

    page = page_of(run, log=say)
    if serve:
        _serve(page, port or 0, no_browser)
        return
    echo(page)
    if not no_browser:
        _browse(page.absolute().as_uri())


def _serve(page: Path, port: int, no_browser: bool) -> None:
    from wassergan.report.serve import PageServer

    with PageServer(page, port=port) as server:
        echo(server.address)
        if not no_browser:
            _browse(server.address)
        server.run()


def _browse(address: str) -> None:
    """Show it where somebody looks: a terminal with a screen beside it."""
    screen = sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.stdout.isatty() and screen:
        click.launch(address)
