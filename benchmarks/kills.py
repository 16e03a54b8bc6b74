"""A training that is killed again and again, and must end as if nothing had been.

    python benchmarks/kills.py [--kills 200] [--group-kills 8] [--stops 20] [--verbs evaluate,...] [--seed 0]
                               [--kinds pictures table] [--folder FOLDER]

One run on small pictures is never disturbed. Others are killed at random moments and resumed until they end, as many of
them as so many kills take: at a random one of their calls that flush, rename, link or delete a file (before or after
the call; two in five), at a random byte of a file that is being written, within a log line, and at a random time (one
in five each). After every kill the checkpoints must load and the log may at most end in a torn line; at the end
weights, optimisers, random states, log (but for its times), pictures and files must be those of the undisturbed run.
Then the same with two processes of torchrun, of which one or all are killed; and runs that SIGTERM, SIGINT or two of
them stop at random moments, also while they measure, with the seconds that they took to save. Last, the verbs that
write files beside a run (`--verbs`) are killed at every one of their calls that change files: then the files are those
of the call before, or all of the killed one, which the next call brings to its end where a journal asks for it, or the
next call says that they are not whole; all else in the folder is as it was. Attempts are forks of a process that has
imported everything. Writes docs/results/kills.json and .md, which keep what an earlier call found of parts that this
one leaves out (0 of a kind); exits with 1 if anything was lost.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from wassergan.cli.main import main as wassergan
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint
from wassergan.storage.run_log import RunLog, read_log

NETWORKS = ["--latent-dim", "4", "--generator-widths", "16", "--critic-widths", "16", "--batch-size", "16"]
COMMON = [*NETWORKS, "--critic-steps", "1", "--no-tensorboard"]
TIMES = {"seconds", "elapsed_seconds", "steps_per_second", "samples_per_second", "timed", "data"}
RUN_STEPS = 400
DATA = "pictures.npy"
GOING_BACK = 0.2  # of the resumes
MOST_EVENTS, LONGEST_SECONDS, LARGEST_FILE = 70, 1.0, 40_000
FORMER = {"look, pictures", "look, table"}  # of `visualize` under its former name
CALLS = ("fsync", "replace", "link", "unlink", "ftruncate", "mkdir")

Plan = Callable[[], object]


def make_data(folder: Path) -> None:
    """Pictures so small that most of a run's time goes into starting and writing: where kills are to meet it."""
    np.save(folder / DATA, np.random.default_rng(0).integers(0, 256, (200, 4, 4), dtype=np.uint8))


def die_at_event(number: int, *, before: bool) -> Plan:
    """In the child: SIGKILL itself around its `number`-th call that changes files."""

    def install() -> None:
        seen = 0

        def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*args: Any, **options: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == number and before:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = call(*args, **options)
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return counted

        for name in CALLS:
            setattr(os, name, wrapped(getattr(os, name)))

    return install


def die_at_byte(number: int) -> Plan:
    """In the child: die as the first file grows past so many bytes, having written those."""

    def install() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))

    return install


def die_in_log(tick: int, share: float) -> Plan:
    """In the child: SIGKILL itself with a part of the `tick`-th log line written."""

    def install() -> None:
        seen, append = 0, RunLog.append

        def torn(log: RunLog, record: dict[str, Any]) -> None:
            nonlocal seen
            seen += 1
            if seen == tick:
                line = json.dumps(record).encode()
                with log.path.open("ab") as file:
                    file.write(line[: int(share * len(line))])
                os.kill(os.getpid(), signal.SIGKILL)
            append(log, record)

        RunLog.append = torn

    return install


def start(argv: list[str], out: Path, plan: Plan = int) -> int:
    """Fork a child that runs the command line; its process number."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        plan()
        code = wassergan(argv)
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait; the exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train_or_resume(folder: Path, flags: list[str], rng: random.Random | None = None) -> list[str]:
    """The next call; of resumes some go back to an earlier checkpoint, if there are numbers to be drawn."""
    if (folder / "checkpoints" / "latest.pt").exists():
        steps = Checkpoints(folder / "checkpoints").steps()
        if rng is not None and steps and rng.random() < GOING_BACK:
            return ["resume", str(folder), "--checkpoint", str(rng.choice(steps))]
        return ["resume", str(folder)]
    return ["train", str(folder.parent / DATA), "--out", str(folder), "--keep", "3", *flags]


def examine(folder: Path, seen: Counter[str]) -> None:
    """What must hold after any kill."""
    checkpoints = folder / "checkpoints"
    for name in ("latest.pt", "best.pt"):
        if (checkpoints / name).exists():
            load_checkpoint(checkpoints / name)
    log = folder / "log.jsonl"
    if log.exists():
        lines = log.read_bytes().split(b"\n")
        torn = lines.pop() != b""
        seen["torn log lines"] += torn
        for line in lines:
            json.loads(line)
        logged = [json.loads(line)["step"] for line in lines]
        latest = (
            load_checkpoint(checkpoints / "latest.pt")["trainer"]["step"] if (checkpoints / "latest.pt").exists() else 0
        )
        if logged != sorted(set(logged)) or (latest and (not logged or logged[-1] < latest)):
            raise SystemExit(f"latest is of step {latest}, the log holds {logged}")
    seen["half-written files"] += len(list(folder.rglob(".*.tmp*")))


def kill_and_resume(folder: Path, flags: list[str], kills: int, rng: random.Random) -> Counter[str]:
    seen: Counter[str] = Counter()
    out = folder.with_suffix(".out")
    while True:
        done = seen["kills"] >= kills
        argv = train_or_resume(folder, flags, None if done else rng)
        seen["went back"] += "--checkpoint" in argv
        kind = "none" if done else rng.choice(("event", "event", "byte", "time", "log"))
        plan: Plan = int
        if kind == "event":
            plan = die_at_event(rng.randint(1, MOST_EVENTS), before=rng.random() < 0.5)
        elif kind == "byte":
            plan = die_at_byte(rng.randint(1, LARGEST_FILE))
        elif kind == "log":
            plan = die_in_log(rng.randint(2, 5), rng.random())
        child = start(argv, out, plan)
        if kind == "time":
            time.sleep(rng.uniform(0, LONGEST_SECONDS))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = ended(child)
        if code in (-signal.SIGKILL, -signal.SIGXFSZ):
            seen["kills"] += 1
            seen[f"by {kind}"] += 1
        elif code == 1 and "Could not write" in out.read_text().splitlines()[-1]:
            seen["refused writes"] += 1  # a byte limit that a library told instead of dying of it
        elif code != 0:
            raise SystemExit(f"exit code {code} of {argv}:\n{out.read_text()[-2000:]}")
        examine(folder, seen)
        if code == 0:  # not killed any more, or past its end before the next kill
            seen["dropped with a word"] = out.read_text().count("torn log line")
            return seen


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(each) for name, each in value.items() if name not in TIMES}
    return value


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two nested states differ in a single bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{place}: {sorted(map(str, one.keys() ^ other.keys()))}"]
        return [found for name in one for found in differences(one[name], other[name], f"{place}/{name}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return [f"{place}: {len(one)} and {len(other)}"]
        return [
            found
            for number, pair in enumerate(zip(one, other, strict=True))
            for found in differences(*pair, f"{place}/{number}")
        ]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [place]
    return [] if one == other else [f"{place}: {one!r} and {other!r}"]


def compare(killed: Path, whole: Path) -> list[str]:
    found = []
    for which in ("latest", "best"):
        states = [
            without_times(load_checkpoint(Checkpoints(run / "checkpoints").path(which))) for run in (killed, whole)
        ]
        found += differences(*states, which)  # type: ignore[call-arg]
    logs = [[without_times(record) for record in read_log(run / "log.jsonl")] for run in (killed, whole)]
    found += differences(*logs, "log")  # type: ignore[call-arg,arg-type]
    names = [sorted(str(path.relative_to(run)) for path in run.rglob("*")) for run in (killed, whole)]
    found += differences(*[[name for name in each if name != "launch.txt"] for each in names], "files")  # type: ignore[call-arg,arg-type]
    for path in sorted((whole / "samples").iterdir()):
        if path.read_bytes() != (killed / "samples" / path.name).read_bytes():
            found.append(f"samples/{path.name}")
    return found


def torchrun(argv: list[str], restarts: int) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    return [sys.executable, *launcher, "-m", "wassergan", *argv]


def workers(launcher: int) -> list[int]:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
        return [each for each in map(int, children) if b"RANK=" in Path(f"/proc/{each}/environ").read_bytes()]
    return []


def kill_group(folder: Path, flags: list[str], kills: int, rng: random.Random) -> Counter[str]:
    """Kill one of two workers, which torchrun replaces, or all with torchrun, whose run is resumed by hand."""
    seen: Counter[str] = Counter()
    out = folder.with_suffix(".out").open("ab")
    while True:
        argv = torchrun(train_or_resume(folder, flags), restarts=kills)
        launcher = subprocess.Popen(argv, stdout=out, stderr=out, start_new_session=True)
        while launcher.poll() is None and seen["kills"] < kills:
            reached = len(read_log(folder / "log.jsonl"))
            while launcher.poll() is None and len(read_log(folder / "log.jsonl")) <= reached:
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 1))
            victims = workers(launcher.pid)
            if not victims:
                continue
            seen["kills"] += 1
            if rng.random() < 0.3:
                seen["of all"] += 1
                for each in [launcher.pid, *victims]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(each, signal.SIGKILL)
                launcher.wait()
                break
            seen["of one worker"] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(victims), signal.SIGKILL)
            examine(folder, seen)
        if seen["kills"] < kills and launcher.returncode == 0:
            raise SystemExit(f"the run of two processes ended after {seen['kills']} kills: give it more steps")
        if launcher.wait() == 0:
            return seen
        if launcher.returncode != -signal.SIGKILL:
            raise SystemExit(
                f"torchrun: exit code {launcher.returncode}\n{folder.with_suffix('.out').read_text()[-3000:]}"
            )


def stop_and_resume(folder: Path, flags: list[str], stops: int, rng: random.Random) -> tuple[Counter[str], list[float]]:
    """Signals at random moments: seconds until the process is gone, saved."""
    seen, seconds, out = Counter[str](), [], folder.with_suffix(".out")
    for _ in range(stops):
        child = start(train_or_resume(folder, flags), out)
        time.sleep(rng.uniform(0.5, 4))
        asked = time.perf_counter()
        twice = rng.random() < 0.3
        os.kill(child, signal.SIGINT if twice else rng.choice((signal.SIGINT, signal.SIGTERM)))
        if twice:
            time.sleep(rng.uniform(0, 0.2))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGINT)
        code = ended(child)
        seconds.append(time.perf_counter() - asked)
        if code != 130:
            raise SystemExit(f"exit code {code} after a signal:\n{out.read_text()[-2000:]}")
        seen["twice" if twice else "once"] += 1
        examine(folder, seen)
    if ended(start([*train_or_resume(folder, flags)], out)):
        raise SystemExit(out.read_text()[-2000:])
    return seen, seconds


def kill_verbs(root: Path, wanted: list[str], kinds: list[str]) -> list[dict[str, Any]]:
    """Kill verbs that write beside a run at every one of their calls that change files."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))
    import states

    with states.world(root, kinds):
        verbs = [each for each in states.SETS if not wanted or each in wanted]
        return [kill_verb(states, kind, verb) for kind in kinds for verb in verbs]


def kill_verb(states: Any, kind: str, verb: str) -> dict[str, Any]:
    """A row: what was left by kills at every call of a verb on a run of one kind of data."""
    from faults import Fault

    seen, lost = Counter[str](), list[str]()
    machine = states.RunStates()
    machine.kind, parts, folder = kind, states.SETS[verb], machine.world / "runs"
    base = folder / "base"
    other = machine.world / "outside" / "other"
    shutil.copytree(states.FOLDER / f"{kind}-{states.END}", other)
    shutil.copytree(states.FOLDER / f"{kind}-{states.START}", base)
    if verb != "sample":  # which asks for a new name
        base.rename(folder / "run")
        _call(machine, states, folder / "run", verb, 1)
        (folder / "run").rename(base)
    old = machine._set(parts, base)
    for name in ("checkpoints", "samples", "log.jsonl"):  # an older run with other results of the same verb
        shutil.rmtree(base / name) if (base / name).is_dir() else (base / name).unlink()
        source = states.FOLDER / f"{kind}-{states.MIDDLE}" / name
        shutil.copytree(source, base / name) if source.is_dir() else shutil.copy2(source, base / name)
    whole = Path(shutil.copytree(base, folder / "run"))  # where all the others will lie: some say where that is
    _call(machine, states, whole, verb, 2)
    new = machine._set(parts, whole)
    shutil.rmtree(whole)
    beside = _beside(states, base, parts)
    for number in count(1):
        run = machine.run = Path(shutil.copytree(base, folder / "run"))
        code = _call(machine, states, run, verb, 2, Fault("kill", number))
        if code != -signal.SIGKILL:  # it has no more calls
            break
        seen["kills"] += 1
        seen["put into place by the next call"] += bool(list(run.rglob(".wassergan-*.moves")))
        left = machine._finished(parts)
        changed = {name for name in left.keys() | old.keys() if left.get(name) != old.get(name)}
        again = _call(machine, states, run, verb, 2)
        said = "was stopped" in machine.last
        if left in (old, new):
            seen["all old" if left == old else "all new"] += 1
        elif said:
            seen["said by the next call"] += 1
        else:
            lost.append(f"{verb} killed at {number}: of two calls, {sorted(changed)}")
        if not said and (again or machine._set(parts, run) != new) and not (verb == "sample" and left == new):
            lost.append(f"{verb} killed at {number}: the next call ended in {again}: {machine.last[-200:]}")
        if _beside(states, run, parts) != beside:
            lost.append(f"{verb} killed at {number}: changed something else")
        shutil.rmtree(run)
    shutil.rmtree(machine.world)
    row = {"what": f"{verb}, {kind}", "detail": dict(seen), "lost": lost}
    print(row | {"lost": lost[:3]}, flush=True)
    return row


def _call(machine: Any, states: Any, run: Path, verb: str, number: int, fault: Any = None) -> int:
    """A verb on a run, in a fork; its exit code. What it says lies in `machine.last`."""
    from faults import Fault

    machine.run, out = run, machine.world / "said"
    code = ended(machine._start(machine._named(verb, number), out, fault or Fault(), None))
    machine.last = machine._said(out)
    return code


def _beside(states: Any, run: Path, parts: tuple[str, ...]) -> dict[str, str]:
    """All of a run's folder but the set, what a killed process had in hand, and what is made anew where it is gone."""
    own = (*parts, "report.html", "calibration")
    return {
        name: digest
        for name, digest in states.content_of(run).items()
        if not name.startswith(own) and ".wassergan-" not in name
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--group-kills", type=int, default=8)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--verbs", default="", help="verbs that write beside a run; `none`, or all unless named")
    parser.add_argument("--kinds", nargs="+", default=["pictures", "table"], help="of data that the verbs work on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="where the runs are made")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    for each in (
        "wassergan.plots",
        "wassergan.runs.train",
        "wassergan.data.readers.digits",
    ):  # what every child would import
        import_module(each)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root = Path(name)
        make_data(root)
        if options.kills:
            flags = [*COMMON, "--steps", str(RUN_STEPS), "--tick-steps", "4"]
            if ended(start(train_or_resume(root / "whole", flags), root / "whole.out")):
                raise SystemExit((root / "whole.out").read_text())
            total, lost = Counter[str](), list[str]()
            while total["kills"] < options.kills:
                killed = root / f"killed-{total['runs']}"
                total += kill_and_resume(killed, flags, options.kills - total["kills"], rng)
                total["runs"] += 1
                lost += compare(killed, root / "whole")
                print(dict(total), lost, flush=True)
            rows.append({"what": "one process", "detail": dict(total), "lost": lost})
        if options.group_kills:
            flags = [*COMMON, "--steps", str(40 * options.group_kills), "--tick-steps", "5"]
            argv = torchrun(train_or_resume(root / "pair", flags), 0)
            subprocess.run(argv, check=True, capture_output=True)
            seen = kill_group(root / "killed-pair", flags, options.group_kills, rng)
            lost = compare(root / "killed-pair", root / "pair")
            rows.append({"what": "two processes", "detail": dict(seen), "lost": lost})
            print(rows[-1], flush=True)
        if options.stops:
            flags = [*COMMON, "--budget", f"{3 * options.stops}s", "--w1-every", "1", "--tick-steps", "20"]
            seen, seconds = stop_and_resume(root / "stopped", flags, options.stops, rng)
            detail = dict(seen) | {
                "seconds to save": f"median {sorted(seconds)[len(seconds) // 2]:.2f}, most {max(seconds):.2f}"
            }
            rows.append({"what": "signals", "detail": detail, "lost": []})
            print(rows[-1], flush=True)
        if options.verbs != "none":
            rows += kill_verbs(root, [name for name in options.verbs.split(",") if name], options.kinds)
    from results import FOLDER, write_results

    for row in rows:
        row["detail"] = ", ".join(f"{name}: {value}" for name, value in row["detail"].items())
        row["lost"] = "; ".join(row["lost"][:5]) or "nothing"
    earlier = FOLDER / "kills.json"
    if earlier.exists():  # of the parts that this call left out
        done = {row["what"] for row in rows}
        rows += [row for row in json.loads(earlier.read_text())["rows"] if row["what"] not in done | FORMER]
    counts = f"--kills {options.kills} --group-kills {options.group_kills} --stops {options.stops}"
    counts += "" if len(options.kinds) == 2 else f" --kinds {' '.join(options.kinds)}"
    counts += f" --verbs '{options.verbs}'" if options.verbs else ""
    command = f"python benchmarks/kills.py {counts} --seed {options.seed}"
    write_results("kills", "Killed and resumed", rows, summary={}, command=command)
    sys.exit(any(row["lost"] != "nothing" for row in rows))


if __name__ == "__main__":
    main()
