"""`python -m MODULE` that starts at once: forked from the tests' own process, which imported everything long ago.

A program finds what it would find in a fresh interpreter: arguments, environment, folder, standard streams, default
signals, warnings and hooks. How an interpreter starts and shuts down is not shown: tests of that start a fresh one.
"""

import atexit
import contextlib
import gc
import importlib
import io
import locale
import logging
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from unittest import mock

# What the verbs import when they are called, so that no program imports it again.
NEEDED = (
    *(f"wassergan.cli.{verb}" for verb in ("train", "resume", "sample", "evaluate", "watch")),
    *("wassergan.runs.train", "wassergan.runs.evaluate", "wassergan.plots", "torch.distributed.run"),
    *("matplotlib.backends.backend_agg", "scipy.stats", "sklearn.ensemble", "sklearn.neighbors"),
)
QUIET = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # until asked for
# How the tests were started, before any of them changes it.
INHERITED = {
    number: signal.getsignal(number)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD)
}
FORMER: list[object] = []  # streams, which would close their descriptors as they go


def start(
    arguments: Sequence[object],
    *,
    env: Mapping[str, str] | None = None,
    preexec_fn: Callable[[], None] | None = None,
    **options: Any,
) -> "subprocess.Popen[Any]":
    """Start `python -m ARGUMENTS`; all else is as of `subprocess.Popen`."""
    for name in NEEDED:
        importlib.import_module(name)
    module, *argv = map(str, arguments)
    opened = _descriptors()

    def become() -> None:  # in the child, whose streams, folder and session `Popen` has set; never returns
        for descriptor in _descriptors() - opened:  # of the pipes that `Popen` made, one of which it waits at
            with contextlib.suppress(OSError):
                os.close(descriptor)
        _live(module, argv, env, preexec_fn)

    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads; those of a test run hold no lock that a child would need.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen([sys.executable, "-m", module, *argv], preexec_fn=become, **options)


def run(arguments: Sequence[object], *, timeout: float = 120, **options: Any) -> "subprocess.CompletedProcess[Any]":
    """Run `python -m ARGUMENTS`, and give back its exit code and what it wrote."""
    process = start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _descriptors() -> set[int]:
    return {int(path.name) for path in Path("/dev/fd").iterdir()}


def _live(module: str, argv: Sequence[str], env: Mapping[str, str] | None, prepare: Callable[[], None] | None) -> None:
    code = 70
    try:
        gc.freeze()  # what is not looked at is not copied
        if env is not None:
            os.environ.clear()
            os.environ.update(env)
        _forget()
        with contextlib.suppress(OSError):  # for whoever looks for a rank in /proc
            Path("/proc/self/comm").write_text(f"rank {os.environ.get('RANK')}", encoding="ascii")
        if prepare is not None:
            prepare()
        code = _code(module, argv)
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _forget() -> None:
    """Be as a fresh interpreter is, and not as pytest made this one."""
    atexit._clear()
    FORMER.extend((sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__))
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    taken = io.BufferedReader(io.FileIO(0, closefd=False))
    given, told = (
        raw if at_once else io.BufferedWriter(raw) for raw in (io.FileIO(each, "w", closefd=False) for each in (1, 2))
    )
    errors = "surrogateescape" if locale.setlocale(locale.LC_CTYPE) in ("C", "POSIX", "C.UTF-8") else "strict"
    encoding = locale.getencoding().lower()
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(taken, encoding, errors)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(  # type: ignore[misc]
        given, encoding, errors, line_buffering=given.isatty(), write_through=at_once
    )
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(  # type: ignore[misc]
        told, encoding, "backslashreplace", line_buffering=True
    )
    sys.excepthook, sys.unraisablehook = sys.__excepthook__, sys.__unraisablehook__
    threading.excepthook = threading.__excepthook__
    for number, first in INHERITED.items():  # what `nohup` ignores stays so in whatever it starts
        signal.signal(number, signal.SIG_IGN if first is signal.SIG_IGN else signal.SIG_DFL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which `Popen` has restored, and Python ignores from its start
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.showwarning = _show  # type: ignore[assignment]  # pytest keeps them
    warnings.resetwarnings()
    for category in QUIET:
        warnings.simplefilter("ignore", category, append=True)
    warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)
    for logger in logging.root.manager.loggerDict.values():
        for handler in list(getattr(logger, "handlers", ())):
            if type(handler).__module__.startswith("_pytest"):  # also of loggers that tell the root nothing
                logger.removeHandler(handler)  # type: ignore[union-attr]
            elif isinstance(handler, logging.StreamHandler):
                handler.stream = sys.stderr


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))


def _code(module: str, argv: Sequence[str]) -> int:
    """The exit code of a module that is run."""
    try:
        if module == "torch.distributed.run":
            _torchrun(argv)
        else:
            sys.argv = [module, *argv]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _torchrun(argv: Sequence[str]) -> None:
    """What `torchrun` does, but its workers are forked too."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    with mock.patch.object(subprocess_handler, "Popen", _worker):
        run.main(argv)


def _worker(args: Sequence[str], env: Mapping[str, str], **options: Any) -> "subprocess.Popen[Any]":
    python, unbuffered, flag, *rest = args
    assert (python, unbuffered, flag) == (sys.executable, "-u", "-m")
    return start(rest, env={**env, "PYTHONUNBUFFERED": "1"}, **options)
