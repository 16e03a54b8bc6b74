"""A run folder under everything that may happen to it, in any order: a seed chooses, and some rules always hold.

    python fuzz/states.py [EXAMPLES] [--steps N] [--seed S] [--only K] [--pieces P] [--write] [--folder FOLDER]

Steps train and resume (from any checkpoint, to any step), sample, evaluate, report, export, visualize, compare; a
process is killed as it changes files, calls are refused, disks fill up and fail, clocks jump, signals come; two resume
at once, or another holds the lock; the folder is moved, parts of it are linked elsewhere, cut short, changed, made
read-only, and files of others are put into it. After every step:

- nothing outside the run changed, and no file of others in it;
- the verb ended in 0, 1, 2, 3 or 130, an error in one sentence, without a traceback or escape characters;
- it left no temporary file and no lock, unless it was killed;
- every checkpoint loads, `latest` is there once it was and no older than it may be, and the log reaches it;
- what only reads a run changes nothing of its state; of files that are written together all are of one call, or the
  next call names those that are not.

At the end the run is resumed to its last step, and is, bit for bit, one that was never disturbed; a run whose files are
still, bit for bit, those that an undisturbed one has half-way is not resumed again. Where a fault strikes is drawn from
the calls that the verb made undisturbed. Figures are drawn by a stand-in, and one metric is fitted by one: they take
most of a call's time, and nothing here asks what they show. Exits with 1 at the first violation, with the steps that
led there; each example has random numbers of its own, and `--only` repeats one. `--write` writes
docs/results/states.json and .md; `--pieces` are processes beside each other, each with a seed of its own.

`state_machine.py` lets hypothesis choose instead, and shrinks what it finds; an example here is faster to repeat.
"""

import argparse
import contextlib
import gc
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "benchmarks")]

import numpy as np
import torch
from faults import ERRORS, EVENTS, KILLED, TORN, Fault, counted
from kills import differences, ended, without_times

from wassergan import UserError, WorkError
from wassergan.cli.main import main as wassergan
from wassergan.storage import files
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint
from wassergan.storage.lock import LOCK_NAME, held
from wassergan.storage.run_log import read_log
from wassergan.storage.together import finish

FLAGS = (
    *("--latent-dim", "3", "--generator-widths", "8", "--critic-widths", "8", "--batch-size", "8"),
    *("--critic-steps", "1", "--no-tensorboard", "--tick-steps", "2"),
)
KINDS = {"pictures": "pictures.npy", "rows": "rows.npy", "table": "table.csv"}
START, MIDDLE, END = 2, 4, 8
TICK = 2
NOBODY = 65534
CODES = {0, 1, 2, 3, 130}
STATE = ("settings.json", "environment.json", "log.jsonl", ".wassergan")
PARTS = ("checkpoints", "samples", "log.jsonl", "settings.json", "checkpoints/latest.pt", "report.html", "curves.png")
FOREIGN = (
    *(
        "notes.txt",
        "samples/mine.png",
        "checkpoints/mine.pt",
        "evaluation/mine.png",
        "visualization/mine.png",
        "log.jsonl~",
    ),
    *("tensorboard/mine", ".hidden", "checkpoints/.mine.tmp", "old/settings.json"),
)
# What verbs write together; those of one call are all old or all new.
SETS = {
    "evaluate": ("metrics.json", "evaluation", "report.html"),
    "visualize": ("visualization",),
    "sample": ("drawn", "drawn.npy", "drawn.csv"),
    "sample one": ("samples.png", "samples.csv"),
    "compare": ("compared",),
    "export": ("generator.safetensors",),
    "report": ("report.html",),
}
DRAWN = {"pictures": "drawn", "rows": "drawn.npy", "table": "drawn.csv"}
counts: Counter[str] = Counter()
by_verb: dict[str, Counter[str]] = {}
by_fault: dict[str, Counter[str]] = {}
calls: dict[tuple[str, str], Counter[str]] = {}  # of kind and verb, what an undisturbed call met; resumes by tick
FOLDER = Path()


chosen: list[str] = []


def prepare(folder: Path, kinds: list[str]) -> None:
    """Data, and undisturbed runs of every kind, at three steps of their course; imports what every verb would."""
    global FOLDER
    FOLDER, chosen[:] = folder, kinds
    rng = np.random.default_rng(0)
    folder.chmod(0o755)
    (folder / "data").mkdir()
    np.save(folder / "data" / "pictures.npy", rng.integers(0, 256, (110, 4, 4), dtype=np.uint8))
    np.save(folder / "data" / "rows.npy", rng.normal(size=(110, 2)))
    rows = "".join(f"{rng.normal():.3f},{'xyz'[n % 3]}\n" for n in range(110))
    (folder / "data" / "table.csv").write_text("a,b\n" + rows)
    for kind in kinds:
        run = folder / kind
        train = ("train", str(folder / "data" / KINDS[kind]), "--out", str(run), *FLAGS, "--steps", str(START))
        calls[kind, "train"] = call(*train, run=run)
        shutil.copytree(run, folder / "other")
        for name, verb in READERS.items():
            calls[kind, name] = call(*verb, run=run)
        shutil.rmtree(folder / "other")
        for name in (*(part for each in SETS.values() for part in each), "report.html"):
            path = run / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        call("report", str(run), run=run)
        shutil.copytree(run, folder / f"{kind}-{START}")
        for step in (MIDDLE, END):
            calls[kind, f"resume to {step}"] = call("resume", str(run), "--steps", str(step), run=run)
            shutil.copytree(run, folder / f"{kind}-{step}")
    gc.freeze()  # what is there now is not copied for each child that looks through it


def undisturbed(kind: str, verb: str, ticks: int) -> Counter[str]:
    """What a call of a verb meets: as counted, and of trainings as many ticks as it makes."""
    if verb not in ("train", "resume"):
        return calls[kind, verb]
    first, second = (calls[kind, f"resume to {step}"] for step in (MIDDLE, END))
    apart = (END - MIDDLE) // TICK - (MIDDLE - START) // TICK
    begun = calls[kind, "train"] if verb == "train" else first
    found = Counter({event: begun[event] + (second[event] - first[event]) * (ticks - 1) // apart for event in begun})
    return found | Counter({"largest": begun["largest"]})


READERS = {
    "evaluate": ("evaluate", "RUN", "--seed", "SEED"),
    "sample": ("sample", "RUN", "--count", "5", "--out", "RUN/DRAWN", "--seed", "SEED"),
    "sample one": ("sample", "RUN", "--count", "9", "--seed", "SEED"),
    "report": ("report", "RUN"),
    "export": ("export", "RUN", "--format", "safetensors"),
    "visualize": ("visualize", "RUN", "--count", "50", "--seed", "SEED"),
    "compare": ("compare", "RUN", "OTHER", "--out", "RUN/compared"),
    "info": ("info", "RUN", "--json"),
}


def named(argv: tuple[str, ...], run: Path, other: Path, kind: str, number: int = 0) -> list[str]:
    """A call with its run, the one it is compared with, and the seed, put in."""
    words = {"RUN": str(run), "OTHER": str(other), "DRAWN": DRAWN[kind], "SEED": str(number)}
    found = list(argv)
    for word, value in words.items():
        found = [each.replace(word, value) for each in found]
    return found


def call(*argv: str, run: Path) -> Counter[str]:
    """In this very process, undisturbed; what it met below the run's folder, and its largest file."""
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")} if run.exists() else {}
    with (
        Path(os.devnull).open("w") as null,
        contextlib.redirect_stdout(null),
        contextlib.redirect_stderr(null),
        counted(run) as met,
    ):
        if wassergan(named(argv, run, run.parent / "other", run.name)):
            raise SystemExit(f"{argv} failed")
    written = [path for path in run.rglob("*") if path.is_file() and before.get(path) != path.stat().st_mtime_ns]
    met["largest"] = max([path.stat().st_size for path in written], default=0)
    return met


def content_of(folder: Path) -> dict[str, str]:
    """Every name below a folder with a digest of what it is."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def fork(argv: list[str], out: int, install: Callable[[], object]) -> int:
    """Run the command line in a child, which writes to a descriptor; its process number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.dup2(out, 1)
        os.dup2(out, 2)
        # New ones: those of the parent believe that they write to whatever it was started with.
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        install()
        code = wassergan(argv)
        files._discard_unfinished()  # what the interpreter does at its end
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # what the interpreter would show
        os.write(2, f"Traceback: {error!r}\n".encode())
    finally:
        os._exit(code)


@dataclass(frozen=True)
class Plan:
    """A fault whose place is drawn as a share of the calls that a verb makes."""

    kind: str = "none"
    share: float = 0.0
    detail: str = ""

    def fault(self, met: Counter[str]) -> Fault:
        """Where it strikes in a call that would meet so many events."""
        if self.kind in ("none", "clock"):
            return Fault(self.kind, int(self.detail or 0))
        among = met["largest"] if self.kind in ("torn", "full") else met[EVENTS[self.kind]]
        if not among:
            return Fault()
        return Fault(self.kind, int(self.share * among) + (self.kind not in ("torn", "full")), self.detail)


Draw = Callable[[random.Random], Any]


def any_of(*values: Any) -> Draw:
    """One of some values; what is given more often comes more often."""
    return lambda rng: rng.choice(values)


def number_to(largest: int) -> Draw:
    """A whole number from 0 to that."""
    return lambda rng: rng.randint(0, largest)


def share(rng: random.Random) -> float:
    """A place: a number from 0 to 1, without 1."""
    return rng.random()


def planned(rng: random.Random) -> Plan:
    """Nothing, or a fault of any kind; kills more often than others."""
    kind = rng.choice(KINDS_OF_FAULTS)
    detail = {
        **dict.fromkeys(("refuse", "hide", "read", "write"), ERRORS),
        "signal": ("SIGINT", "SIGTERM", "SIGHUP"),
        **dict.fromkeys(("clock", "jump"), ("-60", "-1", "1", "9")),
    }.get(kind, ("",))
    return Plan(kind, rng.random(), rng.choice(detail))


KINDS_OF_FAULTS = (
    *("none", "none", "kill", "kill", "kill", "kill", "torn", "full", "refuse", "refuse", "hide", "read", "write"),
    *("signal", "signal", "clock", "jump"),
)
targets = any_of(MIDDLE, 6, END)  # ticks: where a call ends between them, it ticks once more
seeds = number_to(2)
checkpoints = any_of(None, None, None, "best", "latest", "first", "last")
readers = any_of(*sorted(READERS))
either = any_of(False, True)


@dataclass(frozen=True)
class Action:
    """Something that may happen to a run, and what it is drawn from."""

    name: str
    weight: int
    needs_run: bool
    needs_root: bool
    arguments: dict[str, Draw]


actions: list[Action] = []


def action(
    *, weight: int = 1, needs_run: bool = True, needs_root: bool = False, **arguments: Draw
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Note a method as something that may happen."""

    def noted(method: Callable[..., None]) -> Callable[..., None]:
        actions.append(Action(method.__name__, weight, needs_run, needs_root, arguments))
        return method

    return noted


class RunStates:
    """One run, its surroundings, and all that may happen."""

    def __init__(self) -> None:
        self.world = Path(tempfile.mkdtemp(dir=FOLDER, prefix="world-"))
        self.world.chmod(0o755)
        self.out, self.fired = self.world / "said", self.world / "met"
        (self.world / "outside" / "checkpoints").mkdir(parents=True)
        (self.world / "outside" / "thesis.txt").write_text("years of work")
        (self.world / "outside" / "log.jsonl").write_text('{"step": 0}\n')
        (self.world / "outside" / "checkpoints" / "step-000000099.pt").write_bytes(b"another's")
        (self.world / "runs").mkdir()
        self.run = self.world / "runs" / "run"
        self.kind = "pictures"
        self.moves = 0
        self.foreign: dict[str, str] = {}
        self.pipes: dict[Path, int] = {}
        self.course: list[str] = []
        counts["runs"] += 1

    def begin(self, rng: random.Random) -> None:
        """A run that was not yet started, or that was stopped at a step."""
        kind, step = rng.choice(chosen), rng.choice((START, START, MIDDLE, MIDDLE, MIDDLE, 0))
        self.kind = kind
        shutil.copytree(FOLDER / f"{kind}-{END}", self.world / "outside" / "other")
        self.course.append(f"{kind}, {step} steps")
        if step:
            shutil.copytree(FOLDER / f"{kind}-{step}", self.run)
        self.sentinel = self._outside()

    def step(self, rng: random.Random) -> None:
        """One of the actions that can happen now."""
        has_run, root = self.has_run(), os.getuid() == 0
        able = [each for each in actions if (has_run or not each.needs_run) and (root or not each.needs_root)]
        found = rng.choice([each for each in able for _ in range(each.weight)])
        arguments = {name: draw(rng) for name, draw in found.arguments.items()}
        counts["steps"] += 1
        self.course.append(f"{found.name}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})")
        verbs = counts["verbs"] + counts["two at once"]
        getattr(self, found.name)(**arguments)
        counts["harmless"] += verbs == counts["verbs"] + counts["two at once"]  # files moved, made, or made older

    # --- what happens

    @action(needs_run=False, plan=planned, steps=targets)
    def train(self, plan: Plan, steps: int) -> None:
        started = self.has_run()
        code, said = self.verb(self._training(steps), Plan() if started and self._step() is not None else plan)
        if started and self.foreign:
            self.require(code == 2 or plan.kind != "none", "train began over a run", said)

    @action(weight=4, plan=planned, steps=targets, checkpoint=checkpoints)
    def resume(self, plan: Plan, steps: int, checkpoint: str | None) -> None:
        argv = self._resuming(steps, checkpoint)
        self.verb(argv, Plan() if self._is_over(argv) else plan)

    def _is_over(self, argv: list[str]) -> bool:
        """Whether a resume has nothing left to do, and ends before any fault could meet it."""
        which = argv[argv.index("--checkpoint") + 1] if "--checkpoint" in argv else "latest"
        return int(argv[argv.index("--steps") + 1]) <= self._before()["named"].get(which, 0)

    @action(weight=6, name=readers, plan=planned, number=seeds)
    def read(self, name: str, plan: Plan, number: int) -> None:
        self.reading(name, plan, number)

    @action(name=readers, steps=targets)
    def read_beside_a_resume(self, name: str, steps: int) -> None:
        """Both at once: neither may end in anything but its own sentence."""
        self.together(self._resuming(steps, None), self._named(name))

    @action(steps=targets, checkpoint=checkpoints)
    def two_resumes(self, steps: int, checkpoint: str | None) -> None:
        self.together(self._resuming(steps, checkpoint), self._resuming(END, None))

    @action(steps=targets)
    def locked(self, steps: int) -> None:
        with held(self.run):
            before = content_of(self.run)
            code, said = self.verb(self._resuming(steps, None), Plan(), locked=True)
            self.require(code == 2 and "another process" in said, f"went past the lock: {code}", said)
            self.require(content_of(self.run) == before, "changed what another holds", said)

    @action(age=any_of(-400_000_000, 0, 100, 400_000_000), steps=targets, plan=planned)
    def foreign_lock(self, age: int, steps: int, plan: Plan) -> None:
        """A lock of another machine, renewed so many seconds ago by a clock that may have jumped."""
        lock = self.run / LOCK_NAME
        holder = {"host": "h", "machine": "m", "process": 1, "since": "s", "launch": "", "token": "t"}
        lock.write_text(json.dumps(holder) + "\n")
        then = lock.stat().st_mtime - age
        os.utime(lock, (then, then))
        # Under a lock that holds, the call ends before it changes anything: a fault would never meet it.
        argv = self._resuming(steps, None)
        is_lost = age >= 400_000_000
        code, said = self.verb(argv, plan if is_lost and not self._is_over(argv) else Plan(), locked=True)
        if not is_lost:
            self.require(code != 0, "took over a lock that was renewed", said)
        lock.unlink(missing_ok=True)

    @action()
    def move(self) -> None:
        self.moves += 1
        target = self.world / "runs" / f"moved {self.moves}"
        self.run.rename(target)
        self.run = target

    @action(years=any_of(-50, -1, 1, 5))
    def clock_of_files(self, years: int) -> None:
        """All files are as old as a clock says that jumped."""
        for path in self.run.rglob("*"):
            then = max(1.0, path.lstat().st_mtime + years * 365 * 86400)
            os.utime(path, (then, then), follow_symlinks=False)

    @action(name=any_of(*FOREIGN))
    def put_foreign(self, name: str) -> None:
        path = self.run / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine: " + name.encode())
        self.foreign[name] = hashlib.sha256(path.read_bytes()).hexdigest()

    @action(part=any_of(*PARTS), name=readers, steps=targets, resumes=either, beside=either)
    def linked(self, part: str, name: str, steps: int, resumes: bool, beside: bool) -> None:
        """A part of the run is a link; everything is put back afterwards."""
        path = self.run / part
        if not path.exists():
            return
        argv, aside = self._resuming(steps, None) if resumes else self._named(name), self.world / "aside"
        path.rename(aside)
        target = aside if beside else self.world / "outside" / ("checkpoints" if aside.is_dir() else "log.jsonl")
        path.symlink_to(target)
        before = content_of(self.world)
        code, said = self.verb(argv, Plan(), broken=True)
        harmless = part in ("report.html", "curves.png") and not resumes
        self.require(code == 2 or harmless, f"went through the link {part}: {code}", said)
        if not harmless:
            self.require(self._same_but_said(before), "wrote through a link", said)
        path.unlink()
        aside.rename(path)

    @action(
        number=number_to(1000),
        how=any_of("empty", "cut", "flip", "text", "gone"),
        place=share,
        name=readers,
        resumes=either,
    )
    def damaged(self, number: int, how: str, place: float, name: str, resumes: bool) -> None:
        """A file of the run is damaged; afterwards the folder is put back from a copy."""
        kept = self.world / "kept"
        shutil.copytree(self.run, kept, symlinks=True)
        found = sorted(path for path in self.run.rglob("*") if path.is_file())
        path = found[number % len(found)]
        argv = self._resuming(END, None) if resumes else self._named(name)
        damage(path, how, place)
        damaged = str(path.relative_to(self.run))
        spared = self.foreign.pop(damaged, None)
        self.verb(argv, Plan(), broken=True)
        shutil.rmtree(self.run)
        kept.rename(self.run)
        if spared:
            self.foreign[damaged] = spared

    @action(
        needs_root=True,
        name=readers,
        steps=targets,
        resumes=either,
        which=any_of("", "checkpoints", "samples"),
    )
    def read_only(self, name: str, steps: int, resumes: bool, which: str) -> None:
        """By one who may not write, to the folder or to one of its parts; and who owns the rest."""
        kept = self.world / "kept"
        shutil.copytree(self.run, kept, symlinks=True)
        if which:
            for path in (self.run, *self.run.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            (self.run / which).chmod(0o555)
        argv = self._resuming(steps, None) if resumes else self._named(name)
        self.verb(argv, Plan(), broken=True, user=NOBODY)
        shutil.rmtree(self.run)
        kept.rename(self.run)

    # --- what must hold

    def reading(self, name: str, plan: Plan, number: int) -> None:
        """A verb that only reads the state of a run, and writes files that belong together."""
        parts = SETS.get(name, ())
        state, old = self._state(), self._set(parts)
        code, said = self.verb(self._named(name, number), plan)
        self.require(self._state() == state, f"{name} changed the state of the run", said)
        if code == 0 or not parts or plan.kind not in ("kill", "torn", "signal"):
            return
        left = self._finished(parts)
        again, said_again = self.verb(self._named(name, number), Plan())
        incomplete = name == "sample" and again == 2 and "was stopped" in said_again
        whole = name == "sample" and again == 2 and left == old and "is not empty" in said_again
        unsaved = again == 2 and self._step() is None  # killed before its first `latest` was in place
        self.require(again == 0 or incomplete or whole or unsaved, f"{name} failed after {plan.kind}", said_again)
        self.require(self._state() == state, f"{name} changed the state of the run", said)
        known = "was stopped" in said_again
        mixed = left not in (old, self._set(parts))
        counts["sets cut in two, and said"] += known
        self.require(known or not mixed, f"{name} left some files of an old call and some of a new one", str(left))
        if incomplete:
            shutil.rmtree(self.run / DRAWN[self.kind])

    def verb(
        self, argv: list[str], plan: Plan, *, broken: bool = False, locked: bool = False, user: int | None = None
    ) -> tuple[int, str]:
        before = self._before()
        fault = plan.fault(self._undisturbed(argv, before["step"]))
        self.fired.unlink(missing_ok=True)
        code = ended(self._start(argv, self.out, fault, user))
        said = self._said(self.out)
        self._count(argv, fault, code, said)
        self.require_ending(argv, code, said, fault)
        if not broken:
            self.require_state(argv, code, said, fault, before, locked=locked)
        self.require_others(said)
        return code, said

    def _undisturbed(self, argv: list[str], step: int | None) -> Counter[str]:
        verb = argv[0]
        if verb == "sample" and "--out" not in argv:
            verb = "sample one"
        if verb not in ("train", "resume"):
            return undisturbed(self.kind, verb, 1)
        begins = START - TICK if verb == "train" else step or 0
        target = int(argv[argv.index("--steps") + 1])
        return undisturbed(self.kind, verb, max(1, (target - begins) // TICK))

    def _count(self, argv: list[str], fault: Fault, code: int, said: str) -> None:
        met = self.fired.exists() and self.fired.read_bytes() != b""
        fired = {"torn": code == TORN, "full": "Could not write" in said, "clock": True}.get(fault.kind, met)
        seen = by_verb.setdefault(argv[0], Counter())
        counts["verbs"] += 1
        seen["calls"] += 1
        killed = code in (KILLED, TORN)
        for name, happened in (("killed", killed), ("refused or failed", code in (1, 2)), ("interrupted", code == 130)):
            counts[name] += happened
            seen[name] += happened
        if fault.kind == "none":
            return
        counts["faults planned"] += 1
        counts["faults fired"] += fired
        seen["faults planned"] += 1
        seen["faults fired"] += fired
        kind = by_fault.setdefault(fault.kind, Counter())
        kind["planned"] += 1
        kind["fired"] += fired

    def together(self, *calls: list[str]) -> None:
        before = self._before()
        outs = [self.world / f"said-{number}" for number in range(len(calls))]
        children = [self._start(argv, out, Fault(), None) for argv, out in zip(calls, outs, strict=True)]
        codes = [ended(child) for child in children]
        counts["two at once"] += 1
        for argv in calls:
            by_verb.setdefault(argv[0], Counter())["two at once"] += 1
        for argv, code, out in zip(calls, codes, outs, strict=True):
            said = self._said(out)
            self.require_ending(argv, code, said, Fault())
            self.require_others(said)
        resumed = [argv for argv in calls if argv[0] == "resume"]
        chosen = next((argv for argv in resumed if "--checkpoint" in argv), resumed[0])
        self.require_state(chosen, max(codes), said, Fault(), before)

    def _start(self, argv: list[str], out: Path, fault: Fault, user: int | None) -> int:
        def install() -> None:
            fired = os.open(self.fired, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            if user is not None:
                os.setgid(user)
                os.setuid(user)
            fault.install(self.run, fired)

        # A pipe, which no limit of files concerns; it holds more than a call says.
        self.pipes[out], writing = os.pipe()
        try:
            return fork(argv, writing, install)
        finally:
            os.close(writing)

    def _said(self, out: Path) -> str:
        with open(self.pipes.pop(out), encoding="utf-8", errors="replace") as pipe:  # noqa: PTH123  # of a descriptor
            return pipe.read()

    def require(self, holds: bool, what: str, said: str) -> None:
        if not holds:
            met = self.fired.read_text(errors="replace") if self.fired.exists() else ""
            raise AssertionError(f"{what}\n--- met: {met}\n--- said:\n{said[-3000:]}")

    def require_ending(self, argv: list[str], code: int, said: str, fault: Fault) -> None:
        killed = {"kill": KILLED, "torn": TORN}.get(fault.kind)
        self.require(code in CODES or code == killed, f"{argv} ended in {code}", said)
        self.require("Traceback" not in said and "Exception ignored" not in said, f"{argv}: a traceback", said)
        odd = {each for each in said if ord(each) < 32 and each not in "\n\t"}
        self.require(not odd, f"{argv}: control characters {odd}", said)
        sentences = [line for line in said.splitlines() if line.startswith("wassergan: ")]
        if code in (1, 2):
            self.require(len(sentences) == 1, f"{argv} ended in {code} with {len(sentences)} sentences", said)
            self.require(said.splitlines()[-1] == sentences[0], f"{argv}: its error is not the last line", said)

    def require_others(self, said: str) -> None:
        self.require(self._outside() == self.sentinel, "something outside of the run changed", said)
        for name, digest in self.foreign.items():
            path = self.run / name
            same = path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
            self.require(same, f"{name}, a file of another, changed", said)

    def require_state(
        self, argv: list[str], code: int, said: str, fault: Fault, before: dict[str, Any], *, locked: bool = False
    ) -> None:
        met = self.fired.read_text(errors="replace") if self.fired.exists() else ""
        if code in CODES and not (fault.kind == "refuse" and "os.remove" in met):
            left = self._temporaries() - before["temporaries"]
            self.require(not left, f"left {sorted(left)}", said)
            left_lock = (self.run / LOCK_NAME).exists() and not before["lock"]  # of a killed process: it may stay
            self.require(locked or not left_lock, "left its lock", said)
        folder = self.run / "checkpoints"
        for path in folder.glob("*.pt"):
            if str(path.relative_to(self.run)) not in self.foreign and not files.is_temporary(path):
                try:
                    step_of(path)
                except (UserError, WorkError) as error:
                    self.require(False, f"{path.name} no longer loads: {error}", said)
        step, lines = self._step(), self._log()
        self.require(lines == sorted(set(lines)), f"the log holds {lines}", said)
        self.require(step is not None or before["step"] is None, "latest is gone", said)
        if step is None:
            return
        # Who goes on from step 0 measures it again: until then the log may be empty.
        self.require(
            step == 0 or (bool(lines) and lines[-1] >= step), f"latest is of step {step}, the log holds {lines}", said
        )
        gone_back = argv[argv.index("--checkpoint") + 1] if "--checkpoint" in argv else None
        if argv[0] == "resume" and before["step"] is not None:
            least = before["step"] if gone_back is None else min(before["step"], before["named"].get(gone_back, 0))
            self.require(step >= least, f"latest went back from {before['step']} to {step}", said)
        if code == 0 and argv[0] in ("train", "resume"):
            self.require(step == int(argv[argv.index("--steps") + 1]), f"ended at step {step}", said)

    def finish(self) -> None:
        """Resumed to its end it is a run that was never disturbed."""
        if not self.has_run():
            code, said = self.verb(self._training(END), Plan())
            self.require(code == 0, "does not train", said)
        elif self._step() is None:  # lost before its first checkpoint
            for name in self.foreign:  # a start is begun again where nothing else is
                (self.run / name).unlink()
            for name in {Path(name).parent for name in self.foreign} & {
                Path("evaluation"),
                Path("visualization"),
                Path("old"),
            }:
                (self.run / name).rmdir()
            self.foreign = {}
            code, said = self.verb(self._training(END), Plan())
            self.require(code == 0, "a lost start cannot be begun again", said)
        if self._is_undisturbed():
            counts["ended bit for bit"] += 1
            counts["of these as they began"] += 1
            return
        code, said = self.verb(self._resuming(END, None), Plan())
        over = code == 2 and "reached its end" in said
        self.require(code == 0 or over, "does not go on", said)
        found = self._differences(FOLDER / f"{self.kind}-{END}")
        self.require(not found, f"is not the undisturbed run: {found[:6]}", said)
        counts["ended bit for bit"] += 1

    def _is_undisturbed(self) -> bool:
        """Whether the state is that of an undisturbed run, which `prepare` resumed to its end; nothing is beside it."""
        whole = FOLDER / f"{self.kind}-{self._step()}"
        if not whole.exists():
            return False
        names = [
            {
                str(path.relative_to(run))
                for path in run.rglob("*")
                if path.name.startswith(".wassergan") or path.parent.name in ("checkpoints", "samples")
            }
            for run in (self.run, whole)
        ]
        same = names[0] - set(self.foreign) == names[1] and self._step() == step_of(whole / "checkpoints" / "latest.pt")
        settings = [without_mark(run) for run in (self.run, whole)]
        return same and settings[0] == settings[1] and not self._differences(whole)

    def _differences(self, whole: Path) -> list[str]:
        runs = (self.run, whole)
        latest, others = (load_checkpoint(run / "checkpoints" / "latest.pt") for run in runs)
        ticks = {record["step"] for record in read_log(whole / "log.jsonl")}
        if {record["step"] for record in read_log(self.run / "log.jsonl")} != ticks:
            # A signal stopped it between two ticks, where it measured once more: that may have been its best.
            counts["stopped between ticks"] += 1
            return differences(*[without_times(each["trainer"]) for each in (latest, others)], "latest")
        found = differences(recorded(latest), recorded(others), "latest")
        best = [recorded(load_checkpoint(run / "checkpoints" / "best.pt")) for run in runs]
        logs = [[without_times(each) for each in read_log(run / "log.jsonl")] for run in runs]
        found += differences(*best, "best") + differences(*logs, "log")
        found += differences(*[Checkpoints(run / "checkpoints").steps() for run in runs], "numbered")
        for path in sorted((whole / "samples").iterdir()):
            drawn = self.run / "samples" / path.name
            found += [] if drawn.exists() and drawn.read_bytes() == path.read_bytes() else [path.name]
        return found

    # --- what there is

    def has_run(self) -> bool:
        return self.run.exists() and (self.run / "checkpoints").exists()

    def _training(self, steps: int) -> list[str]:
        data = FOLDER / "data" / KINDS[self.kind]
        return ["train", str(data), "--out", str(self.run), *FLAGS, "--steps", str(steps)]

    def _resuming(self, steps: int, checkpoint: str | None) -> list[str]:
        reached = self._step() or 0
        there = Checkpoints(self.run / "checkpoints").steps()
        named = {"first": there[:1], "last": there[-1:]}.get(checkpoint or "", [checkpoint])
        back = ["--checkpoint", str(named[0])] if named and named[0] else []
        # Shorter than it is: a run that has reached its end says so.
        return ["resume", str(self.run), *back, "--steps", str(steps if steps > reached or back else END)]

    def _named(self, name: str, number: int = 0) -> list[str]:
        return named(READERS[name], self.run, self.world / "outside" / "other", self.kind, number)

    def _outside(self) -> dict[str, str]:
        data = {f"data/{name}": digest for name, digest in content_of(FOLDER / "data").items()}
        names = {str(path.relative_to(self.world)): "" for path in (self.world / "runs").iterdir() if path != self.run}
        return content_of(self.world / "outside") | data | names

    def _same_but_said(self, before: dict[str, str]) -> bool:
        after = content_of(self.world)
        return {name: each for name, each in after.items() if name not in ("said", "met")} == {
            name: each for name, each in before.items() if name not in ("said", "met")
        }

    def _temporaries(self) -> set[str]:
        return {
            str(path)
            for path in self.world.rglob(".*")
            if (".tmp" in path.name or ".moves" in path.name) and path.name != ".mine.tmp"
        }

    def _step(self) -> int | None:
        latest = self.run / "checkpoints" / "latest.pt"
        if not latest.exists():
            return None
        return step_of(latest)

    def _log(self) -> list[int]:
        log = self.run / "log.jsonl"
        return [json.loads(line)["step"] for line in log.read_bytes().split(b"\n")[:-1]] if log.exists() else []

    def _before(self) -> dict[str, Any]:
        """What a verb starts from; where a part was damaged on purpose nothing is known."""
        named: dict[str, int] = {}
        step = None
        with contextlib.suppress(UserError, WorkError, OSError):
            step = self._step()
            for path in (self.run / "checkpoints").glob("*.pt"):
                if path.stem in ("best", "latest"):
                    named[path.stem] = step_of(path)
                elif path.stem.startswith("step-"):
                    named[str(int(path.stem.removeprefix("step-")))] = int(path.stem.removeprefix("step-"))
        return {
            "step": step,
            "named": named,
            "temporaries": self._temporaries(),
            "lock": (self.run / LOCK_NAME).exists(),
        }

    def _state(self) -> dict[str, str]:
        names = content_of(self.run)
        return {name: each for name, each in names.items() if name in STATE or name.startswith("checkpoints")}

    def _finished(self, parts: tuple[str, ...]) -> dict[str, str]:
        """The files of a set as the next call finds them, which makes the moves that a journal names."""
        journals = list(self.run.rglob(".wassergan-*.moves"))
        if not journals:
            return self._set(parts)
        counts["sets finished from a journal"] += 1
        copy = self.world / "copy"
        shutil.copytree(self.run, copy)
        for journal in journals:
            finish(copy / journal.parent.relative_to(self.run), lambda name: True)
        found = self._set(parts, copy)
        shutil.rmtree(copy)
        return found

    def _set(self, parts: tuple[str, ...], run: Path | None = None) -> dict[str, str]:
        """The files of a set; of numbers only what no clock changes."""
        found, run = {}, run or self.run
        for part in parts:
            path = run / part
            for each in [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []:
                name = str(each.relative_to(run))
                if each.is_file() and name not in self.foreign and ".tmp" not in each.name and "features" not in name:
                    found[name] = digest_without_times(each)
        return found


def digest_without_times(path: Path) -> str:
    content = path.read_bytes()
    if path.name == "metrics.json":
        found = json.loads(content)
        found["protocol"].pop("seconds", None)
        content = json.dumps(found).encode()
    if path.suffix == ".html":  # a page of what the others hold
        return "a page" if content.rstrip().endswith(b"</html>") else "a torn page"
    return hashlib.sha256(content).hexdigest()


def step_of(path: Path) -> int:
    """The step of a checkpoint, which is loaded, unless one with the very same bytes was."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest not in loaded:
        loaded[digest] = load_checkpoint(path)["trainer"]["step"]
    return loaded[digest]


loaded: dict[str, int] = {}


def without_mark(run: Path) -> dict[str, Any]:
    """A run's settings, but for what tells it apart and how far its call was to go."""
    found: dict[str, Any] = json.loads((run / "settings.json").read_text())
    return {name: value for name, value in found.items() if name not in ("mark", "out", "steps")}


def recorded(content: dict[str, Any]) -> Any:
    """A checkpoint without its times and without how far its call was to go."""
    content["settings"].pop("steps", None)
    return without_times(content)


def damage(path: Path, how: str, place: float) -> None:
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
        return
    position = int(place * max(0, len(content) - 1))
    changed = {
        "empty": b"",
        "cut": content[:position],
        "flip": content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :] if content else b"\xff",
        "text": b"\x1b[2J{nothing of ours}\n",
    }[how]
    path.unlink()  # a checkpoint has several names, of which one is damaged
    path.write_bytes(changed)


def examples(numbers: Iterable[int], steps: int, seed: int, kept: Path | None = None) -> None:
    """Raises at the first violation, with what led there; what was counted is kept in a file after each example."""
    for number in numbers:
        rng, states = random.Random(f"{seed} {number}"), RunStates()
        try:
            states.begin(rng)
            for _ in range(steps):
                states.step(rng)
            states.finish()
            if kept is not None:
                kept.write_text(json.dumps(tallies()))
        except BaseException:
            print(f"\nExample {number} of seed {seed}:\n    " + "\n    ".join(states.course), flush=True)
            raise
        finally:
            shutil.rmtree(states.world, ignore_errors=True)


def stand_in() -> None:
    """Figures, animations, trees and pages in no time; what is written still tells what it shows."""
    from matplotlib.figure import Figure
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    def savefig(figure: Figure, file: Any, **options: Any) -> None:
        digest = hashlib.sha256()
        for axes in figure.axes:
            for line in axes.lines:
                digest.update(np.ascontiguousarray(line.get_xydata()).tobytes())
            for shown in (*axes.images, *axes.collections):
                digest.update(np.ma.filled(shown.get_array(), 0).tobytes() if shown.get_array() is not None else b"")  # type: ignore[arg-type]
                offsets = getattr(shown, "get_offsets", lambda: None)()
                digest.update(b"" if offsets is None else np.ma.filled(offsets, 0).tobytes())
            for patch in axes.patches:
                digest.update(np.ascontiguousarray(patch.get_path().vertices).tobytes())
        noise = np.random.default_rng(list(digest.digest())).integers(0, 256, (64, 64), dtype=np.uint8)
        mark = PngInfo()
        for key, text in (options.get("metadata") or {}).items():
            mark.add_text(key, text)
        Image.fromarray(noise).save(file, options["format"], pnginfo=mark)

    def trees(real: torch.Tensor, fake: torch.Tensor, *, seed: int = 0) -> SimpleNamespace:
        return SimpleNamespace(auc=float((real.mean() - fake.mean()).abs()), standard_error=0.1)

    quick: dict[str, Any] = {
        "matplotlib.figure.Figure.savefig": savefig,
        "wassergan.evaluation.evaluate.classifier_two_sample": trees,
        "wassergan.modality.walks.WALKS": 4,
        "wassergan.modality.walks.STOPS": 3,
        "wassergan.modality.walks.FRAMES": 2,
        "wassergan.report.page.PLOTTING_SCRIPT": "page.css",
    }
    for name, value in quick.items():
        mock.patch(name, value).start()


@contextlib.contextmanager
def world(folder: Path | None, kinds: list[str]) -> Iterator[None]:
    for each in (
        *("wassergan.plots", "wassergan.runs.train", "wassergan.runs.evaluate", "wassergan.runs.visualize"),
        *("wassergan.runs.compare", "wassergan.runs.export"),
    ):
        import_module(each)
    stand_in()
    torch.set_num_threads(1)
    # Else ignored by those that inherit it, as from nohup and from a shell in the background.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(dir=folder, prefix="states-") as name:
        prepare(Path(name), kinds)
        yield


Tallies = dict[str, Any]


def tallies() -> Tallies:
    """What was counted, as JSON holds it."""
    return {"all": dict(counts), "verbs": {k: dict(v) for k, v in by_verb.items()}, "faults": dict(by_fault)}


def in_pieces(options: argparse.Namespace) -> Tallies:
    """So many processes beside each other, with seeds that follow each other; exits if one of them found anything."""
    share = -(-options.examples // options.pieces)
    pieces = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for number in range(options.pieces):
            kept = Path(folder) / f"{number}.json"
            argv = [sys.executable, __file__, str(share), "--steps", str(options.steps), "--counts", str(kept)]
            argv += ["--seed", str(options.seed + number), "--kinds", *options.kinds]
            argv += ["--folder", str(options.folder)] if options.folder else []
            pieces.append((subprocess.Popen(argv), kept))
        codes = [piece.wait() for piece, _ in pieces]
        if any(codes):
            raise SystemExit(1)
        found = [json.loads(kept.read_text()) for _, kept in pieces]
    total: Tallies = {"all": Counter(), "verbs": {}, "faults": {}}
    for each in found:
        total["all"] += Counter(each["all"])
        for group in ("verbs", "faults"):
            for name, seen in each[group].items():
                total[group][name] = total[group].get(name, Counter()) + Counter(seen)
    return total


VERB_COLUMNS = (
    *("calls", "two at once", "faults planned", "faults fired", "killed", "interrupted"),
    "refused or failed",
)


def written(found: Tallies, command: str) -> None:
    """docs/results/states.json and .md."""
    from results import write_results

    rows = [
        {"what": name} | {column: found["verbs"][name].get(column, 0) for column in VERB_COLUMNS}
        for name in sorted(found["verbs"])
    ]
    rows.append({"what": "all"} | {column: sum(int(row[column]) for row in rows) for column in VERB_COLUMNS})
    faults = ", ".join(
        f"{name} {seen.get('fired', 0)} of {seen.get('planned', 0)}" for name, seen in sorted(found["faults"].items())
    )
    seen = found["all"]
    summary = {
        "runs": seen["runs"],
        "ended in the bits of an undisturbed run": seen["ended bit for bit"],
        "violations": 0,
        "faults that fired": faults,
    }
    write_results("states", "States of a run folder", rows, summary=summary, command=command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=int, nargs="?", default=500)
    parser.add_argument("--steps", type=int, default=5, help="of each example")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pieces", type=int, default=1, help="processes, each with a part of the examples")
    parser.add_argument("--write", action="store_true", help="docs/results/states.json and .md")
    parser.add_argument("--counts", type=Path, default=None, help="a file for what was counted")
    parser.add_argument("--folder", type=Path, default=None, help="where the runs are made")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--only", type=int, default=None, help="one example, by its number")
    options = parser.parse_args()
    if options.pieces > 1:
        found = in_pieces(options)
    else:
        with world(options.folder, options.kinds):
            numbers = range(options.examples) if options.only is None else [options.only]
            examples(numbers, options.steps, options.seed, options.counts)
        found = tallies()
    print(json.dumps(found), flush=True)
    if options.counts:
        options.counts.write_text(json.dumps(found))
    if options.write:
        pieces = f" --pieces {options.pieces}" if options.pieces > 1 else ""
        command = f"python fuzz/states.py {options.examples} --steps {options.steps} --seed {options.seed}{pieces}"
        written(found, command + " --write")


if __name__ == "__main__":
    main()
