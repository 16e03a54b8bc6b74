"""What becomes of a run whose data are changed while it trains, or while they are opened: the command line itself.

    python fuzz/changing_runs.py [--kinds npy,shard] [--changes cut,chmod] [--processes 2] [--opening 200] [--seed 0]

Each case starts `train` in a process of its own (forked once everything is imported), with limits of memory lowered so
that the data stay on disk, changes them after some ticks, puts them back, resumes, and compares with a run that nothing
happened to. A case is `ok` if

- data that stay on disk: exit code 1 (2 where the file may no longer be read), one sentence that names the file, a
  checkpoint of the step reached, and after `resume` the weights of the undisturbed run, bit for bit;
- data that were read into memory, and changes of nothing but attributes: exit code 0 and the same weights.

`--opening` changes data while they are opened instead, so many times: a run that begins nevertheless must have been
given the former data or the new ones, not both, which `resume` tells.
"""

import argparse
import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from changing_data import CHANGES, IN_MEMORY, KEPT_VALUES, MAKERS, lower_limits

STEPS, OTHER_USER = 160, 65534
TINY = ["--latent-dim", "3", "--network", "mlp", "--generator-widths", "8", "--critic-widths", "8", "--no-previews"]
TINY += ["--batch-size", "8", "--critic-steps", "1", "--threads", "1", "--tick-steps", "400"]
WAIT_SECONDS = 120


class Started:
    """The command line in a process of its own, forked from this one, in which everything is imported already."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the run, which is waited for elsewhere
        self.code: int | None = None
        self._child = os.fork()
        if not self._child:
            os._exit(child(argv, environment, self._said.fileno()))

    def poll(self, *options: int) -> int | None:
        if self.code is None:
            found, status = os.waitpid(self._child, *options or [os.WNOHANG])
            self.code = os.waitstatus_to_exitcode(status) if found else None
        return self.code

    def ended(self) -> tuple[int, str]:
        """Exit code, and what was said; a process that hangs is killed."""
        until = time.monotonic() + WAIT_SECONDS
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        hung = ""
        if self.code is None:
            os.kill(self._child, signal.SIGKILL)
            self.poll(0)
            hung = "HUNG\n"
        self._said.seek(0)
        return self.code or 0, self._said.read().decode() + hung


def child(argv: list[str], environment: dict[str, str], said: int) -> int:
    import faulthandler
    import traceback

    try:
        os.dup2(said, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        faulthandler.enable()
        os.environ |= environment
        if int(environment.get("AS_USER", "0")):
            os.setuid(OTHER_USER)
        from wassergan.cli.main import main

        return main(argv)
    except BaseException:
        traceback.print_exc()
        return 99
    finally:
        sys.stderr.flush()


def start(argv: list[str], processes: int, environment: dict[str, str]) -> list[Started]:
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        environment = {**environment, "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        Started(argv, {**environment, **({"RANK": str(rank)} if processes > 1 else {})}) for rank in range(processes)
    ]


def ended(started: list[Started]) -> tuple[list[int], str]:
    """Exit codes, and what was said."""
    results = [each.ended() for each in started]
    return [code for code, _ in results], "".join(said for _, said in results)


def last_logged(run: Path) -> int:
    try:
        found = re.findall(r'"step": (\d+)', (run / "log.jsonl").read_text())
    except OSError:
        return -1
    return int(found[-1]) if found else -1


def trainer_of(run: Path) -> dict:
    from wassergan.storage.checkpoint import load_checkpoint

    return load_checkpoint(run / "checkpoints" / "latest.pt")["trainer"]


def same(one: object, other: object) -> bool:
    import torch

    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)  # type: ignore[arg-type]
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)  # type: ignore[attr-defined]
    return one == other


def same_training(one: dict, other: dict) -> bool:
    names = ("step", "generator", "critic", "average", "generator_optimizer", "critic_optimizer", "batches",
             "latent_rng", "penalty_rng")  # fmt: skip
    return all(same(one[name], other[name]) for name in names)


class Kind:
    """Data of a kind, as they were written long ago, and the undisturbed run on them."""

    def __init__(self, name: str, root: Path, processes: int) -> None:
        self.name, self.processes = name, processes
        self.root = root / re.sub(r"\W+", "-", name)
        (self.root / "data").mkdir(parents=True)
        self.data, self.target = MAKERS[name](self.root / "data")
        for path in (self.root / "data").rglob("*"):
            os.utime(path, (1, 1))
        shutil.copytree(self.root / "data", self.root / "kept")
        for path in [root, *root.rglob("*")]:
            path.chmod(0o777 if path.is_dir() else 0o644)
        self.whole = self.root / "whole"
        codes, said = ended(start(self.command("train", self.whole), processes, {}))
        assert not any(codes), said
        self.goal = trainer_of(self.whole)

    def command(self, verb: str, run: Path) -> list[str]:
        if verb == "resume":
            return ["resume", str(run)]
        return ["train", str(self.data), "--out", str(run), "--steps", str(STEPS), *TINY]

    def put_back(self) -> None:
        for path in (self.root / "data", self.root / "moved"):
            if path.exists():
                shutil.rmtree(path)
        shutil.copytree(self.root / "kept", self.root / "data")
        for path in (self.root / "data").rglob("*"):
            path.chmod(0o777 if path.is_dir() else 0o644)
            os.utime(path, (1, 1))

    def tried(self, change: Callable[..., None], numbers: random.Random) -> str:
        run = self.root / "run"
        if run.exists():
            shutil.rmtree(run)
        run.mkdir(mode=0o777)
        run.chmod(0o777)
        # Who may read everything notices no change of permissions.
        environment = {"AS_USER": "1"} if change.__name__ == "chmod" and os.geteuid() == 0 else {}
        processes = start(self.command("train", run), self.processes, environment)
        until = time.monotonic() + WAIT_SECONDS
        while last_logged(run) < 50 and time.monotonic() < until and processes[0].poll() is None:
            time.sleep(0.005)
        time.sleep(numbers.uniform(0, 0.1))
        before = last_logged(run)
        change(self.name, self.data, self.target)
        codes, said = ended(processes)
        complaints = [line for line in said.splitlines() if line.startswith("wassergan: ")]
        if not (run / "checkpoints" / "latest.pt").exists():
            self.put_back()
            return f"BAD codes {codes} {said[-1500:]}"
        saved = trainer_of(run)["step"]
        result = f"codes {codes}, saved step {saved} (changed after tick {before}): {' | '.join(complaints)[:170]}"
        goes_on = self.name in IN_MEMORY or change.__name__ in KEPT_VALUES
        good = "Traceback" not in said and "HUNG" not in said and saved >= before
        if goes_on:
            good = good and not any(codes) and not complaints and same_training(self.goal, trainer_of(run))
            self.put_back()
            return f"{'ok ' if good else 'BAD'} {result}" + ("" if good else said[-1500:])
        if saved == STEPS:
            good = False
        names = [self.target.name, self.data.name]
        good = good and len(complaints) == 1 and any(name in complaints[0] for name in names)
        if self.processes == 1:
            good = good and codes == [2 if change.__name__ == "chmod" and "changed while" not in said else 1]
        else:
            good = good and all(codes) and all(code in (1, 2) for code in codes)
        good = good and last_logged(run) == saved
        self.put_back()
        codes, more = ended(start(self.command("resume", run), self.processes, {}))
        if any(codes) or "Traceback" in more:
            return f"BAD {result} | resume: {codes} {more[-600:]}"
        alike = same_training(self.goal, trainer_of(run))
        good = good and alike
        return f"{'ok ' if good else 'BAD'} {result} | resumed alike: {alike}" + ("" if good else said[-1500:])

    def opened(self, change: Callable[..., None], numbers: random.Random, longest: float) -> str:
        """Change the data at any time after everything was imported and before the first tick, as a rule."""
        run = self.root / "run"
        shutil.rmtree(run, ignore_errors=True)
        argv = [*self.command("train", run), "--steps", "5"]
        processes = start(argv, self.processes, {})
        time.sleep(numbers.uniform(0, longest))
        began = run.exists() and last_logged(run) >= 0
        change(self.name, self.data, self.target)
        codes, said = ended(processes)
        complaints = [line for line in said.splitlines() if line.startswith("wassergan: ")]
        word = f"codes {codes}{' after the start' if began else ''}: {' | '.join(complaints)[:150]}"
        good = "Traceback" not in said and "HUNG" not in said and all(code in (0, 1, 2) for code in codes)
        if any(codes):
            good = good and len(complaints) == 1
            kept = f", left {sorted(each.name for each in run.iterdir())[:3]}" if run.exists() else ""
            self.put_back()
            return f"{'ok ' if good else 'BAD'} {word}{kept}" + ("" if good else said[-1500:])
        resume = [*self.command("resume", run), "--steps", "9"]
        now, _ = ended(start(resume, self.processes, {}))
        self.put_back()
        former, more = ended(start([*self.command("resume", run), "--steps", "12"], self.processes, {}))
        good = good and (not any(now) or not any(former))
        which = "the new data" if not any(now) else "the former" if not any(former) else f"MIXED DATA {more[-300:]}"
        return f"{'ok ' if good else 'BAD'} {word} trained on {which}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kinds", default=",".join(MAKERS))
    parser.add_argument("--changes", default=",".join(each.__name__ for each in CHANGES))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--opening", type=int, default=0)
    parser.add_argument("--longest", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import encodings.cp437
    import encodings.raw_unicode_escape  # noqa: F401  # another user may not be able to read what is imported late

    import torch
    import torch.utils.tensorboard

    import wassergan.runs.train  # noqa: F401  # all that a child needs
    from wassergan.runs import recorder

    torch.set_num_threads(1)
    lower_limits()
    # Figures and pages take most of the time of short runs, and never look at the data.
    recorder.RunRecorder._draw_curves = lambda recorder: None
    recorder.write_run_report = lambda folder: (folder / "report.html").touch()
    numbers = random.Random(options.seed)
    changes = [each for each in CHANGES if each.__name__ in options.changes.split(",")]
    count = bad = 0
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o777)
        kinds = [Kind(name, Path(root), options.processes) for name in options.kinds.split(",")]
        cases = [(kind, change) for change in changes for kind in kinds]
        if options.opening:
            cases = [(numbers.choice(kinds), numbers.choice(changes)) for _ in range(options.opening)]
        for kind, change in cases:
            said = kind.opened(change, numbers, options.longest) if options.opening else kind.tried(change, numbers)
            count, bad = count + 1, bad + (not said.startswith("ok"))
            print(f"{kind.name:18} {change.__name__:18} {said.replace(root, '')}", flush=True)
    print(f"{bad} of {count} bad")


if __name__ == "__main__":
    main()
