"""Every flag and argument of every verb under hostile values: each call ends in one sentence, and in no other way.

    python fuzz/arguments.py [--only VERB] [--pairs N] [--whole N] [--mixed] [--seed S] [--counts FILE]

Each call is made up to the point where its work begins, in this very process: most values are refused before. Of those
that are taken, `--whole` draws so many to be done whole, the extreme ones first, or `--mixed` with all others: in a
fork of this process, with 1 GiB of address space more than that holds, for 20 seconds. A call must end with code 0, 1
or 2 and, unless it is 0, with one line that begins with `wassergan: `, has no control character and at most 1500
letters; nothing of it may be a traceback. `--pairs` draws so many calls with two hostile flags each. Prints what broke
and how many calls there were; exits with 1 if one broke.
"""

import argparse
import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import click
import numpy as np

import wassergan.cli.distance
import wassergan.report.page
import wassergan.runs.compare
import wassergan.runs.complete
import wassergan.runs.evaluate
import wassergan.runs.export
import wassergan.runs.listing
import wassergan.runs.page
import wassergan.runs.prune
import wassergan.runs.train
import wassergan.runs.visualize  # noqa: F401  # what the verbs load when they are called
from wassergan.cli.main import VERBS, cli, main

# Where the work of a verb begins.
WORK = {
    "wassergan.runs.train": ("train_run", "resume_run"),
    "wassergan.session.restore": ("open_sampler",),
    "wassergan.runs.evaluate": ("evaluate_run",),
    "wassergan.runs.compare": ("compare_runs",),
    "wassergan.runs.visualize": ("visualize_run",),
    "wassergan.runs.recorder": ("write_run_report",),
    "wassergan.runs.export": ("export_run",),
    "wassergan.runs.complete": ("complete_table",),
    "wassergan.runs.listing": ("list_runs",),
    "wassergan.runs.page": ("page_of",),
    "wassergan.runs.prune": ("prune_run",),
    "wassergan.session.build": ("open_data",),
    "wassergan.cli.pairs": ("opened",),
    "wassergan.monitor": ("W1Monitor",),
    "wassergan.benchmark.w1": ("run", "read_rows"),
    "wassergan.session.throughput": ("measure",),
    "wassergan.distances.parallel_lines": ("train_on_lines", "distances_between_lines"),
    "wassergan.session.run_content": ("run_summary",),
    "wassergan.data": ("open_source",),
    "wassergan.utils.environment": ("environment",),
}
ROOM, SECONDS, LONGEST, INTERRUPTED = 2**30, 20, 1500, 130
DIGITS = "9" * 5000
VALUES = (
    *(
        DIGITS,
        f"-{DIGITS}",
        "nan",
        "-inf",
        "inf",
        "1e400",
        "-1e-400",
        "",
        " ",
        "\udcff5",
        "2," * 1500 + "x",
        "a\x1b[31m",
    ),
    *("\0", "٣", "-0", "0", "-1", str(2**31), str(2**63 - 1), str(2**63), str(2**64), "0x10", "1_000", "a" * 300),
    *("../passwd", ".", "..", "~", "%s%n", "$(touch x)", "--help", "-"),
)
EXTREME = (DIGITS, "nan", "inf", "-inf", "1e400", *map(str, (2**31, 2**63 - 1, 2**63, 2**64)), "0", "-1")
TINY = [
    *("--latent-dim", "2", "--generator-widths", "8", "--critic-widths", "8", "--batch-size", "8"),
    *("--critic-steps", "1", "--no-tensorboard", "--no-previews", "--threads", "1", "--steps", "2"),
]


def options() -> Iterator[tuple[tuple[str, ...], str]]:
    """Each verb, in words, with each of its flags that takes a value."""
    for verb in VERBS:
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None
        for name, each in getattr(command, "commands", {verb: command}).items():
            words = (verb,) if name == verb else (verb, name)
            for parameter in each.params:
                if isinstance(parameter, click.Option) and not parameter.is_flag:
                    yield words, parameter.opts[0]


def places(words: Sequence[str], folder: Path) -> list[str]:
    """Sound arguments of a verb."""
    run, points, out = str(folder / "run"), str(folder / "points.npy"), str(folder / "out")
    match words[0]:
        case "train":
            return [points, "--out", out, *TINY]
        case "resume":
            return [run, "--steps", "5"]
        case "sample" | "visualize" | "export" | "report" | "evaluate":
            end = {"export": ".safetensors", "sample": ".npy", "report": ".html"}.get(words[0], "")
            return [run, "--out", out + end]
        case "compare":
            return [run, str(folder / "other"), "--out", out]
        case "distance" | "fid":
            return [points, points]
        case "complete":
            return [str(folder / "filled"), str(folder / "gaps.csv"), "--out", out + ".csv"]
        case "runs":
            return [str(folder)]
        case "open":
            return [run, "--no-browser"]
        case "prune":
            return [run, "--dry-run"]
        case "watch":
            return [points, points, "--permutations", "9", "--rows", "8"]
        case "demo":
            return ["--out", out]
        case "info":
            return [points]
        case "benchmark" | "env":
            return []
    raise LookupError(f"no sound arguments are known of {words[0]}: its values would never be reached")


def calls(pairs: int, rng: random.Random, folder: Path) -> Iterator[list[str]]:
    """Each flag with each value, each place of an argument with each value, and pairs of flags."""
    known = list(options())
    for words, flag in known:
        for value in VALUES:
            yield [*words, *places(words, folder), flag, value]
    for verb in VERBS:
        for value in VALUES:
            yield [verb, value]
            yield [verb, str(folder / "run"), value]
    for _ in range(pairs):
        words = rng.choice(known)[0]
        flags = [flag for other, flag in known if other == words]
        hostile = [part for flag in rng.sample(flags, min(2, len(flags))) for part in (flag, rng.choice(VALUES))]
        yield [*words, *places(words, folder), *hostile]


def ended(call: Sequence[str], folder: Path) -> tuple[int, str]:
    """A call in a fork, in a folder of its own: how it ended, and all that it printed on standard error."""
    here = folder / "here"
    here.mkdir()
    with tempfile.TemporaryFile() as told:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.chdir(here)
                quiet = os.open(os.devnull, os.O_RDWR)
                os.dup2(quiet, 0)
                os.dup2(quiet, 1)
                os.dup2(told.fileno(), 2)
                held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (held + ROOM, held + ROOM))
                signal.alarm(SECONDS)
                code = main(list(call))
                sys.stderr.flush()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told.seek(0)
        said = told.read().decode(errors="replace")
    clean(folder)
    return code, said


class _Taken(BaseException):
    """A call has come to its work."""


@contextlib.contextmanager
def without_work() -> Iterator[None]:
    """Inside, a verb ends where its work would begin."""

    def begins(*ignored: object, **also: object) -> None:
        raise _Taken

    owners = {module: import_module(module) for module in WORK}  # all of them before any is changed
    with contextlib.ExitStack() as stack:
        for module, names in WORK.items():
            owner = owners[module]
            for name in names:
                stack.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, begins)
        yield


def parsed(call: Sequence[str], folder: Path) -> tuple[int | None, str]:
    """A call up to its work, in a folder of its own: how it ended, None for not yet, and what it printed."""
    here, told = folder / "here", io.StringIO()
    here.mkdir()
    before = Path.cwd()
    os.chdir(here)
    code: int | None = None
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
            code = main(list(call))
    except _Taken:
        pass
    except BaseException as error:
        code = 70
        told.write(f"Traceback: {error!r}")
    finally:
        os.chdir(before)
    clean(folder)
    return code, told.getvalue()


def clean(folder: Path) -> None:
    """Remove what a call may have left."""
    for path in (folder / "here", *folder.glob("out*")):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def extreme_first(taken: list[list[str]]) -> list[list[str]]:
    """Those with an extreme number before all others."""
    return sorted(taken, key=lambda call: call[-1] not in EXTREME)


def broken(code: int, said: str) -> str:
    """What is wrong with an end; empty for nothing."""
    if code in (-signal.SIGALRM, INTERRUPTED):  # much work was asked for, which is no fault
        return ""
    if code not in (0, 1, 2):
        return f"ended with {code}"
    if "Traceback" in said or ".cc:" in said or ".cpp:" in said:
        return "printed a traceback"
    sentences = [line for line in said.splitlines() if line.startswith("wassergan: ")]
    if code == 0:
        return ""
    if len(sentences) != 1:
        return f"said {len(sentences)} sentences"
    return "" if len(sentences[0]) <= LONGEST and sentences[0].isprintable() else "said what is too long or no text"


def prepare(folder: Path) -> None:
    """Two sound runs, and what they were trained on."""
    np.save(folder / "points.npy", np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32))
    for name in ("run", "other"):
        if main(["train", str(folder / "points.npy"), "--out", str(folder / name), *TINY]):
            raise SystemExit("a sound run did not come to its end")
    rows = "".join(f"{number % 7},{'abc'[number % 3]}\n" for number in range(120))
    (folder / "table.csv").write_text("number,letter\n" + rows)
    (folder / "gaps.csv").write_text("number,letter\n1,\n,b\n")
    if main(["train", str(folder / "table.csv"), "--completion", "--out", str(folder / "filled"), *TINY]):
        raise SystemExit("a sound run of a table did not come to its end")


def run() -> None:
    """Every call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="calls whose verb is this")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--whole", type=int, default=10**9, help="calls that are done whole, all unless given")
    parser.add_argument("--mixed", action="store_true", help="draw the whole calls from all, whatever their values")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin none after these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--counts", type=Path, help="where the figures go, as JSON")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()

    def judge(call: Sequence[str], code: int, said: str, how: str) -> None:
        counts[how] += 1
        counts[f"{how}, code {code}"] += 1
        wrong = broken(code, said)
        if wrong:
            counts["broken"] += 1
            shown = [part if len(part) < 60 else f"{part[:40]}... ({len(part)})" for part in call]
            print(f"BROKE: {shown!r} {wrong}: {said[-300:]!r}".replace(str(folder), ""), flush=True)

    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), random.Random(asked.seed)
        prepare(folder)
        sound = {path: path.read_bytes() for path in folder.rglob("*.pt")}
        taken = []
        with without_work():
            for call in calls(asked.pairs, rng, folder):
                if asked.only not in ("", call[0]):
                    continue
                code, said = parsed(call, folder)
                if code is None:
                    taken.append(call)
                    counts["taken"] += 1
                else:
                    judge(call, code, said, "parsed")
        print(json.dumps(counts), flush=True)
        rng.shuffle(taken)
        for call in (taken if asked.mixed else extreme_first(taken))[: asked.whole]:
            if time.monotonic() - begun > asked.seconds:
                break
            judge(call, *ended(call, folder), "whole")
            if call[0] == "resume":
                shutil.rmtree(folder / "run")
                shutil.copytree(folder / "other", folder / "run")
        if any(not path.exists() for path in sound):
            print("BROKE: a checkpoint is gone")
            counts["broken"] += 1
    print(json.dumps(counts))
    if asked.counts:
        asked.counts.write_text(json.dumps(counts, indent=1) + "\n")
    sys.exit(bool(counts["broken"]))


if __name__ == "__main__":
    run()
