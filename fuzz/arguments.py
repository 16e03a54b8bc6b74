"""Every flag and argument of every verb under hostile values: each call ends in one sentence, and in no other way.

    python fuzz/arguments.py [--only VERB] [--pairs N] [--seed S] [--counts FILE]

Each call is a fork of a process that has imported everything, with 1 GiB of address space more than that holds, and an
alarm. It must end with code 0, 1 or 2 and, unless it is 0, with one line that begins with `wassergan: `, has no control
character and at most 1500 letters; nothing of it may be a traceback. `--pairs` draws so many calls with two hostile
flags each. Prints what broke and how many calls there were; exits with 1 if one broke.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import click
import numpy as np

import wassergan.cli.distance
import wassergan.plots
import wassergan.report.page
import wassergan.runs.compare
import wassergan.runs.evaluate
import wassergan.runs.export
import wassergan.runs.train
import wassergan.runs.visualize  # noqa: F401  # what the verbs load when they are called
from wassergan.cli.main import VERBS, main

ROOM, SECONDS, LONGEST = 2**30, 60, 1500
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
TINY = [
    *("--latent-dim", "2", "--generator-widths", "8", "--critic-widths", "8", "--batch-size", "8"),
    *("--critic-steps", "1", "--no-tensorboard", "--no-previews", "--threads", "1", "--steps", "2"),
]


def options() -> Iterator[tuple[tuple[str, ...], str]]:
    """Each verb, in words, with each of its flags that takes a value."""
    for verb, (module, _) in VERBS.items():
        command = getattr(import_module(module), verb)
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
        case "distance":
            return [points, points]
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
    for path in (here, *folder.glob("out*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return code, said


def broken(code: int, said: str) -> str:
    """What is wrong with an end; empty for nothing."""
    if code == -signal.SIGALRM:
        return "took too long"
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


def run() -> None:
    """Every call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="calls whose verb is this")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--counts", type=Path, help="where the figures go, as JSON")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        sound = {path: path.read_bytes() for path in folder.rglob("*.pt")}
        for call in calls(asked.pairs, random.Random(asked.seed), folder):
            if asked.only not in ("", call[0]):
                continue
            code, said = ended(call, folder)
            counts["calls"] += 1
            counts[f"code {code}"] += 1
            wrong = broken(code, said)
            if wrong:
                counts["broken"] += 1
                shown = [part if len(part) < 60 else f"{part[:40]}... ({len(part)})" for part in call]
                print(f"BROKE: {shown!r} {wrong}: {said[-300:]!r}".replace(str(folder), ""), flush=True)
            if call[0] == "resume" and code == 0:
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
