"""A run folder under everything that may happen to it, in any order: hypothesis chooses, and some rules always hold.

    python fuzz/states.py [EXAMPLES] [--steps N] [--seed S] [--write] [--folder FOLDER]

Rules train and resume (from any checkpoint, to any step), sample, evaluate, report, export, visualize, compare; a
process is killed as it changes files, calls are refused, disks fill up and fail, clocks jump, signals come; two resume
at once, or another holds the lock; the folder is moved, parts of it are linked elsewhere, cut short, changed, made
read-only, and files of others are put into it. After every step:

- nothing outside the run changed, and no file of others in it;
- the verb ended in 0, 1, 2, 3 or 130, an error in one sentence, without a traceback or escape characters;
- it left no temporary file and no lock, unless it was killed;
- every checkpoint loads, `latest` is there once it was and no older than it may be, and the log reaches it;
- what only reads a run changes nothing of its state; of files that are written together all are of one call, or the
  next call names those that are not.

At the end the run is resumed to its last step, and is, bit for bit, one that was never disturbed. Exits with 1 at the
first violation, with the steps that led there. `--write` writes docs/results/states.json and .md.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "benchmarks")]

import numpy as np
import torch
from faults import ERRORS, KILLED, TORN, Fault
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from kills import differences, ended, without_times

from wassergan.cli.main import main as wassergan
from wassergan.errors import WasserganError
from wassergan.storage import files
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint
from wassergan.storage.lock import LOCK_NAME, held
from wassergan.storage.run_log import read_log

FLAGS = (
    *("--latent-dim", "3", "--generator-widths", "8", "--critic-widths", "8", "--batch-size", "8"),
    *("--critic-steps", "1", "--no-tensorboard", "--tick-steps", "2"),
)
KINDS = {"pictures": "pictures.npy", "rows": "rows.npy", "table": "table.csv"}
START, MIDDLE, END = 2, 6, 10
NOBODY = 65534
MOST_CHANGES, LARGEST_FILE, MOST_TRANSFERS = 40, 20_000, 40
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
    "visualize": ("visualize",),
    "sample": ("drawn",),
    "compare": ("compared",),
}
counts: Counter[str] = Counter()
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
        call("train", str(folder / "data" / KINDS[kind]), "--out", str(run), *FLAGS, "--steps", str(START))
        for name, verb in READERS.items():
            if kind == kinds[0] or name in ("evaluate", "visualize"):  # what comes first pays for imports and fonts
                call(*verb, run=run)
        for name in (*(part for each in SETS.values() for part in each), "samples.png", "generator.safetensors"):
            path = run / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        call("report", str(run))
        shutil.copytree(run, folder / f"{kind}-{START}")
        for step in (MIDDLE, END):
            call("resume", str(run), "--steps", str(step))
            shutil.copytree(run, folder / f"{kind}-{step}")


READERS = {
    "evaluate": ("evaluate", "RUN"),
    "sample": ("sample", "RUN", "--count", "5", "--out", "RUN/drawn"),
    "sample one": ("sample", "RUN", "--count", "9"),
    "report": ("report", "RUN"),
    "export": ("export", "RUN", "--format", "safetensors"),
    "visualize": ("visualize", "RUN", "--count", "50"),
    "compare": ("compare", "RUN", "OTHER", "--out", "RUN/compared"),
    "info": ("info", "RUN", "--json"),
}


def call(*argv: str, run: Path | None = None) -> None:
    """In this very process, undisturbed."""
    with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
        if wassergan([each.replace("RUN", str(run)).replace("OTHER", str(run)) for each in argv]):
            raise SystemExit(f"{argv} failed")


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


def fork(argv: list[str], out: Path, install: Callable[[], object]) -> int:
    """Run the command line in a child; its process number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child:
        return child
    code = 70
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        install()
        code = wassergan(argv)
        files._discard_unfinished()  # what the interpreter does at its end
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # what the interpreter would show
        os.write(2, f"Traceback: {error!r}\n".encode())
    finally:
        os._exit(code)


faults = st.one_of(
    st.just(Fault()),
    st.just(Fault()),
    st.builds(Fault, st.just("kill"), st.integers(1, MOST_CHANGES)),
    st.builds(Fault, st.just("kill"), st.integers(1, MOST_CHANGES)),
    st.builds(Fault, st.sampled_from(["torn", "full"]), st.integers(0, LARGEST_FILE)),
    st.builds(Fault, st.sampled_from(["refuse", "hide"]), st.integers(1, MOST_CHANGES), st.sampled_from(ERRORS)),
    st.builds(Fault, st.sampled_from(["read", "write"]), st.integers(1, MOST_TRANSFERS), st.sampled_from(ERRORS)),
    st.builds(Fault, st.just("signal"), st.integers(1, MOST_CHANGES), st.sampled_from(["SIGINT", "SIGTERM", "SIGHUP"])),
    st.builds(Fault, st.just("clock"), st.sampled_from([-60, -1, 1, 9])),
)
targets = st.sampled_from([4, 8, END])  # ticks: where a call ends between them, it ticks once more
checkpoints = st.sampled_from([None, None, None, "best", "latest", "first", "last"])
readers = st.sampled_from(sorted(READERS))


class RunStates(RuleBasedStateMachine):
    """One run, its surroundings, and all that may happen."""

    def __init__(self) -> None:
        super().__init__()
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
        counts["runs"] += 1

    @initialize(kind=st.sampled_from(sorted(KINDS)), step=st.sampled_from([0, START, MIDDLE]))
    def begin(self, kind: str, step: int) -> None:
        self.kind = kind = kind if kind in chosen else chosen[0]
        shutil.copytree(FOLDER / f"{kind}-{END}", self.world / "outside" / "other")
        if step:
            shutil.copytree(FOLDER / f"{kind}-{step}", self.run)
        self.sentinel = self._outside()

    # --- what happens

    @rule(fault=faults, steps=targets)
    def train(self, fault: Fault, steps: int) -> None:
        started = self.has_run()
        code, said = self.verb(self._training(steps), fault)
        if started and self.foreign:
            self.require(code == 2 or fault.kind != "none", "train began over a run", said)

    @precondition(lambda self: self.has_run())
    @rule(fault=faults, steps=targets, checkpoint=checkpoints)
    def resume(self, fault: Fault, steps: int, checkpoint: str | None) -> None:
        self.verb(self._resuming(steps, checkpoint), fault)

    @precondition(lambda self: self.has_run())
    @rule(name=readers, fault=faults)
    def read(self, name: str, fault: Fault) -> None:
        self.reading(name, fault)

    @precondition(lambda self: self.has_run())
    @rule(name=readers, steps=targets)
    def read_beside_a_resume(self, name: str, steps: int) -> None:
        """Both at once: neither may end in anything but its own sentence."""
        self.together(self._resuming(steps, None), self._named(name))

    @precondition(lambda self: self.has_run())
    @rule(steps=targets, checkpoint=checkpoints)
    def two_resumes(self, steps: int, checkpoint: str | None) -> None:
        self.together(self._resuming(steps, checkpoint), self._resuming(END, None))

    @precondition(lambda self: self.has_run())
    @rule(steps=targets)
    def locked(self, steps: int) -> None:
        before = content_of(self.run)
        with held(self.run):
            code, said = self.verb(self._resuming(steps, None), Fault(), locked=True)
            self.require(code == 2 and "another process" in said, f"went past the lock: {code}", said)
        self.require(content_of(self.run) == before, "changed what another holds", said)

    @precondition(lambda self: self.has_run())
    @rule(age=st.sampled_from([-400_000_000, 0, 100, 400_000_000]), steps=targets, fault=faults)
    def foreign_lock(self, age: int, steps: int, fault: Fault) -> None:
        """A lock of another machine, renewed so many seconds ago by a clock that may have jumped."""
        lock = self.run / LOCK_NAME
        holder = {"host": "h", "machine": "m", "process": 1, "since": "s", "launch": "", "token": "t"}
        lock.write_text(json.dumps(holder) + "\n")
        then = lock.stat().st_mtime - age
        os.utime(lock, (then, then))
        code, said = self.verb(self._resuming(steps, None), fault, locked=True)
        if age < 400_000_000:
            self.require(code != 0, "took over a lock that was renewed", said)
        lock.unlink(missing_ok=True)

    @precondition(lambda self: self.has_run())
    @rule()
    def move(self) -> None:
        self.moves += 1
        target = self.world / "runs" / f"moved {self.moves}"
        self.run.rename(target)
        self.run = target

    @precondition(lambda self: self.has_run())
    @rule(years=st.sampled_from([-50, -1, 1, 5]))
    def clock_of_files(self, years: int) -> None:
        """All files are as old as a clock says that jumped."""
        for path in self.run.rglob("*"):
            then = max(1.0, path.lstat().st_mtime + years * 365 * 86400)
            os.utime(path, (then, then), follow_symlinks=False)

    @precondition(lambda self: self.has_run())
    @rule(name=st.sampled_from(FOREIGN))
    def put_foreign(self, name: str) -> None:
        path = self.run / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine: " + name.encode())
        self.foreign[name] = hashlib.sha256(path.read_bytes()).hexdigest()

    @precondition(lambda self: self.has_run())
    @rule(part=st.sampled_from(PARTS), name=readers, steps=targets, resumes=st.booleans(), beside=st.booleans())
    def linked(self, part: str, name: str, steps: int, resumes: bool, beside: bool) -> None:
        """A part of the run is a link; everything is put back afterwards."""
        path = self.run / part
        if not path.exists():
            return
        aside = self.world / "aside"
        path.rename(aside)
        target = aside if beside else self.world / "outside" / ("checkpoints" if aside.is_dir() else "log.jsonl")
        path.symlink_to(target)
        before = content_of(self.world)
        argv = self._resuming(steps, None) if resumes else self._named(name)
        code, said = self.verb(argv, Fault(), broken=True)
        harmless = part in ("report.html", "curves.png") and not resumes
        self.require(code == 2 or harmless, f"went through the link {part}: {code}", said)
        if not harmless:
            self.require(self._same_but_said(before), "wrote through a link", said)
        path.unlink()
        aside.rename(path)

    @precondition(lambda self: self.has_run())
    @rule(
        number=st.integers(0, 30),
        how=st.sampled_from(["empty", "cut", "flip", "text", "gone"]),
        place=st.floats(0, 1),
        verbs=st.lists(readers, min_size=1, max_size=2),
        resumes=st.booleans(),
    )
    def damaged(self, number: int, how: str, place: float, verbs: list[str], resumes: bool) -> None:
        """A file of the run is damaged; afterwards the folder is put back from a copy."""
        kept = self.world / "kept"
        shutil.copytree(self.run, kept, symlinks=True)
        found = sorted(path for path in self.run.rglob("*") if path.is_file())
        path = found[number % len(found)]
        damage(path, how, place)
        name = str(path.relative_to(self.run))
        spared = self.foreign.pop(name, None)
        for verb in verbs:
            self.verb(self._named(verb), Fault(), broken=True)
        if resumes:
            self.verb(self._resuming(END, None), Fault(), broken=True)
        shutil.rmtree(self.run)
        kept.rename(self.run)
        if spared:
            self.foreign[name] = spared

    @precondition(lambda self: self.has_run() and os.getuid() == 0)
    @rule(name=readers, steps=targets, resumes=st.booleans(), which=st.sampled_from(["", "checkpoints", "samples"]))
    def read_only(self, name: str, steps: int, resumes: bool, which: str) -> None:
        """By one who may not write, to the folder or to one of its parts; and who owns the rest."""
        kept = self.world / "kept"
        shutil.copytree(self.run, kept, symlinks=True)
        if which:
            for path in (self.run, *self.run.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
            (self.run / which).chmod(0o555)
        argv = self._resuming(steps, None) if resumes else self._named(name)
        self.verb(argv, Fault(), broken=True, user=NOBODY)
        shutil.rmtree(self.run)
        kept.rename(self.run)

    # --- what must hold

    def reading(self, name: str, fault: Fault) -> None:
        """A verb that only reads the state of a run, and writes files that belong together."""
        parts = SETS.get(name, ())
        state, old = self._state(), self._set(parts)
        code, said = self.verb(self._named(name), fault)
        self.require(self._state() == state, f"{name} changed the state of the run", said)
        if code == 0 or not parts or fault.kind not in ("kill", "torn"):
            return
        left = self._set(parts)
        again, said_again = self.verb(self._named(name), Fault())
        new = self._set(parts)
        self.require(again == 0, f"{name} failed after a kill", said_again)
        known = "was stopped" in said_again
        mixed = not (self._alike(left, old) or self._alike(left, new))
        counts["sets cut in two, and said"] += known
        self.require(known or not mixed, f"{name} left some files of an old call and some of a new one", str(left))

    def verb(
        self, argv: list[str], fault: Fault, *, broken: bool = False, locked: bool = False, user: int | None = None
    ) -> tuple[int, str]:
        before = self._before()
        code = ended(self._start(argv, self.out, fault, user))
        said = self._said(self.out)
        counts["verbs"] += 1
        counts[fault.kind] += fault.kind != "none"
        self.require_ending(argv, code, said, fault)
        if not broken:
            self.require_state(argv, code, said, fault, before, locked=locked)
        self.require_others(said)
        return code, said

    def together(self, *calls: list[str]) -> None:
        before = self._before()
        outs = [self.world / f"said-{number}" for number in range(len(calls))]
        children = [self._start(argv, out, Fault(), None) for argv, out in zip(calls, outs, strict=True)]
        codes = [ended(child) for child in children]
        counts["two at once"] += 1
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

        return fork(argv, out, install)

    def _said(self, out: Path) -> str:
        said = out.read_text(encoding="utf-8", errors="replace") if out.exists() else ""
        out.unlink(missing_ok=True)
        return said

    def require(self, holds: bool, what: str, said: str) -> None:
        if not holds:
            met = self.fired.read_text(errors="replace") if self.fired.exists() else ""
            raise AssertionError(f"{what}\n--- met: {met}\n--- said:\n{said[-3000:]}")

    def require_ending(self, argv: list[str], code: int, said: str, fault: Fault) -> None:
        killed = {"kill": KILLED, "torn": TORN}.get(fault.kind)
        counts["killed"] += code == killed
        counts["refused or failed"] += code in (1, 2)
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
            if str(path.relative_to(self.run)) not in self.foreign:
                try:
                    load_checkpoint(path)
                except WasserganError as error:
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

    def teardown(self) -> None:
        try:
            if getattr(self, "sentinel", None):
                self._finish()
        finally:
            shutil.rmtree(self.world, ignore_errors=True)

    def _finish(self) -> None:
        if not self.has_run():
            code, said = self.verb(self._training(END), Fault())
            self.require(code == 0, "does not train", said)
        elif self._step() is None:  # lost before its first checkpoint
            for name in self.foreign:  # a start is begun again where nothing else is
                (self.run / name).unlink()
            for name in {Path(name).parent for name in self.foreign} & {
                Path("evaluation"),
                Path("visualize"),
                Path("old"),
            }:
                (self.run / name).rmdir()
            self.foreign = {}
            code, said = self.verb(self._training(END), Fault())
            self.require(code == 0, "a lost start cannot be begun again", said)
        code, said = self.verb(self._resuming(END, None), Fault())
        over = code == 2 and "reached its end" in said
        self.require(code == 0 or over, "does not go on", said)
        found = self._differences(FOLDER / f"{self.kind}-{END}")
        self.require(not found, f"is not the undisturbed run: {found[:6]}", said)
        counts["ended bit for bit"] += 1

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

    def _named(self, name: str) -> list[str]:
        other = self.world / "outside" / "other"
        return [each.replace("RUN", str(self.run)).replace("OTHER", str(other)) for each in READERS[name]]

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
        return {str(path) for path in self.world.rglob(".*") if ".tmp" in path.name and path.name != ".mine.tmp"}

    def _step(self) -> int | None:
        latest = self.run / "checkpoints" / "latest.pt"
        if not latest.exists():
            return None
        step = load_checkpoint(latest)["trainer"]["step"]
        assert isinstance(step, int)
        return step

    def _log(self) -> list[int]:
        log = self.run / "log.jsonl"
        return [json.loads(line)["step"] for line in log.read_bytes().split(b"\n")[:-1]] if log.exists() else []

    def _before(self) -> dict[str, Any]:
        """What a verb starts from; where a part was damaged on purpose nothing is known."""
        named: dict[str, int] = {}
        step = None
        with contextlib.suppress(WasserganError, OSError):
            step = self._step()
            for path in (self.run / "checkpoints").glob("*.pt"):
                if path.stem in ("best", "latest"):
                    named[path.stem] = load_checkpoint(path)["trainer"]["step"]
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

    def _set(self, parts: tuple[str, ...]) -> dict[str, str]:
        """The files of a set; of numbers only what no clock changes."""
        found = {}
        for part in parts:
            path = self.run / part
            for each in [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []:
                name = str(each.relative_to(self.run))
                if each.is_file() and name not in self.foreign and ".tmp" not in each.name and "features" not in name:
                    found[name] = digest_without_times(each)
        return found

    def _alike(self, one: dict[str, str], other: dict[str, str]) -> bool:
        return one == other


def digest_without_times(path: Path) -> str:
    content = path.read_bytes()
    if path.name == "metrics.json":
        found = json.loads(content)
        found["protocol"].pop("seconds", None)
        content = json.dumps(found).encode()
    if path.suffix == ".html":  # a page of what the others hold
        return "a page"
    return hashlib.sha256(content).hexdigest()


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


def examples(count: int, steps: int, number: int, *, verbosity: Verbosity = Verbosity.normal) -> None:
    run_state_machine_as_test(
        seed(number)(RunStates),
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=verbosity,
        ),
    )


@contextlib.contextmanager
def world(folder: Path | None, kinds: list[str]) -> Iterator[None]:
    for each in (
        *("wassergan.plots", "wassergan.runs.train", "wassergan.runs.evaluate", "wassergan.runs.visualize"),
        *("wassergan.runs.compare", "wassergan.export"),
    ):
        import_module(each)
    torch.set_num_threads(1)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # else ignored by those that inherit it
    with tempfile.TemporaryDirectory(dir=folder, prefix="states-") as name:
        prepare(Path(name), kinds)
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("examples", type=int, nargs="?", default=500)
    parser.add_argument("--steps", type=int, default=5, help="of each example")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="docs/results/states.json and .md")
    parser.add_argument("--folder", type=Path, default=None, help="where the runs are made")
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=list(KINDS))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    with world(options.folder, options.kinds):
        examples(
            options.examples,
            options.steps,
            options.seed,
            verbosity=Verbosity.verbose if options.verbose else Verbosity.normal,
        )
    print(dict(counts), flush=True)
    if options.write:
        from results import write_results

        rows = [{"what": name, "count": number} for name, number in sorted(counts.items())]
        command = f"python fuzz/states.py {options.examples} --steps {options.steps} --seed {options.seed} --write"
        write_results("states", "States of a run folder", rows, summary={"violations": 0}, command=command)


if __name__ == "__main__":
    main()
