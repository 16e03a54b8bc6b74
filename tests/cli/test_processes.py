import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from wassergan.errors import ElsewhereError
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint
from wassergan.storage.run_log import read_log

sys.path.insert(0, str(Path(__file__).parents[1]))
import forked

# As `torchrun` does; `--standalone` finds a free port.
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
PATIENCE = 600  # seconds
PIPES: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def torchrun(*argv: object, flags: tuple[str, ...] = (), fresh: bool = False) -> subprocess.Popen[str]:
    """Torchrun and its workers, in fresh interpreters or forked from this one: they train and end alike."""
    command = [*TORCHRUN, *flags, "-m", "wassergan", *map(str, argv)]
    # Else workers that are not done 30 s after a signal are killed: on a very busy machine, while they draw.
    options = {**PIPES, "env": {**os.environ, "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(PATIENCE)}}
    return subprocess.Popen([sys.executable, "-m", *command], **options) if fresh else forked.start(command, **options)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start torchrun; whatever still runs at the end of the test is ended with its processes."""
    running: list[subprocess.Popen[str]] = []

    def start(*argv: object, **options: Any) -> subprocess.Popen[str]:
        running.append(torchrun(*argv, **options))
        return running[-1]

    yield start
    for each in running:
        if each.poll() is None:
            each.terminate()
            each.communicate(timeout=60)


def said(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def state(folder: Path) -> dict[str, Any]:
    return load_checkpoint(Checkpoints(folder / "checkpoints").path("latest"))["trainer"]


def worker(process: subprocess.Popen[str], rank: int, *, unlike: int = 0) -> int:
    """The number of torchrun's forked worker of a rank, by its name; waits for one that is not `unlike`."""
    while process.poll() is None:
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            with contextlib.suppress(OSError):  # a child that ends meanwhile
                if Path(f"/proc/{child}/comm").read_text() == f"rank {rank}\n" and int(child) != unlike:
                    return int(child)
        time.sleep(0.02)
    raise AssertionError(process.communicate()[1])


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    """Wait until a run has logged a step."""
    while not any(record["step"] >= step for record in read_log(folder / "log.jsonl")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


linux = pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="finds the workers in /proc")


def test_processes_of_torchrun_need_a_named_folder(
    refused: Callable[..., str], points_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert refused("train", points_file).startswith("Processes that torchrun starts need --out. Name a run folder")


def test_a_process_that_stops_because_of_another_says_nothing(
    cli: Callable[..., Any], points_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*ignored: object, **also: object) -> None:
        raise ElsewhereError("Process 0 stopped")

    monkeypatch.setattr("wassergan.runs.train.train_run", stop)
    done = cli("train", points_file, "--out", tmp_path / "run")
    assert (done.code, done.out, done.err) == (1, "", "")


@pytest.mark.parametrize(("count", "code"), [("1", -signal.SIGABRT), ("2", 0)])
def test_one_of_several_processes_ends_without_shutting_the_interpreter_down(count: str, code: int) -> None:
    # As a thread of torch.distributed does that calls an interpreter on its way out: rare, so it is made certain here.
    program = "import atexit, os, runpy; atexit.register(os.abort); runpy.run_module('wassergan', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        env={**os.environ, "WORLD_SIZE": count, "RANK": "0"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    assert "version" in done.stdout


@pytest.mark.slow
def test_two_processes_train_and_sample_and_one_speaks(
    started: Callable[..., subprocess.Popen[str]],
    cli: Callable[..., Any],
    points_file: Path,
    tmp_path: Path,
    tiny: tuple[str, ...],
) -> None:
    folder = tmp_path / "run"
    code, out, err = said(started("train", points_file, "--out", folder, "--steps", "9", "--json", *tiny, fresh=True))
    assert code == 0 and json.loads(out)["steps"] == 9
    assert err.count("2 processes on cpu") == 1 and err.count("step       9") == 1
    code, out, err = said(started("sample", folder, "--count", "2500", "--out", tmp_path / "two.npy"))
    assert code == 0 and out == f"Wrote 2500 samples to {tmp_path / 'two.npy'}\n"
    assert cli("sample", folder, "--count", "2500", "--out", tmp_path / "one.npy").code == 0
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()
    code, out, err = said(started("train", points_file, "--out", folder, "--steps", "9", *tiny))
    assert code != 0 and err.count("wassergan: ") == 1 and "holds a run already" in err


@pytest.mark.slow
def test_two_processes_judge_as_one_does_and_one_speaks(
    started: Callable[..., subprocess.Popen[str]],
    cli: Callable[..., Any],
    points_file: Path,
    tmp_path: Path,
    tiny: tuple[str, ...],
) -> None:
    folder = tmp_path / "run"
    assert cli("train", points_file, "--out", folder, "--steps", "9", *tiny).code == 0
    # Three chunks of generated samples for two processes, and a chunk of real ones for the first alone.
    flags = ("evaluate", folder, "--count", "2500", "--json")
    one = json.loads(cli(*flags).out)
    code, out, err = said(started(*flags))
    assert code == 0, err
    assert err.count("Samples of the generator") == 1 and err.count("Wrote") == 1
    two = json.loads(out)
    assert two == json.loads((folder / "metrics.json").read_text())
    for result in (one, two):
        result["protocol"].pop("seconds")
    assert two["protocol"] == one["protocol"] and two["protocol"]["generated"] == 2500
    assert [row["name"] for row in two["metrics"]] == [row["name"] for row in one["metrics"]]
    for row, other in zip(two["metrics"], one["metrics"], strict=True):
        for name, value in row.items():
            numbers = isinstance(value, float) and isinstance(other[name], float)
            assert value == (pytest.approx(other[name], rel=1e-5) if numbers else other[name])
    code, _, err = said(started("evaluate", tmp_path / "nowhere"))
    assert code != 0 and err.count("wassergan: ") == 1


# kill -9 of one worker in mid-run recovers and ends with the same step count and valid files.
@linux
@pytest.mark.slow
def test_killed_workers_are_replaced_and_the_run_ends_as_if_nothing_had_been(
    started: Callable[..., subprocess.Popen[str]], points_file: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    flags = ("--steps", "200", "--tick-steps", "20", "--no-previews", *tiny)
    folder = tmp_path / "killed"
    process = started("train", points_file, "--out", folder, *flags, flags=("--max-restarts", "3"))
    wait_for_step(process, folder, 40)
    first = worker(process, 0)
    os.kill(worker(process, 1), signal.SIGKILL)
    second = worker(process, 0, unlike=first)
    wait_for_step(process, folder, 120)
    os.kill(second, signal.SIGKILL)
    code, _, err = said(process)
    assert code == 0, err
    assert err.count("training, ") == 3 and err.count("step     200") == 1
    code, _, err = said(started("train", points_file, "--out", tmp_path / "whole", *flags))
    assert code == 0, err
    one, other = state(folder), state(tmp_path / "whole")
    assert one["step"] == 200
    for part in ("generator", "critic", "average", "generator_optimizer", "critic_optimizer", "batches", "step"):
        torch.testing.assert_close(one[part], other[part], rtol=0, atol=0)
    logs = [read_log(path / "log.jsonl") for path in (folder, tmp_path / "whole")]
    assert [record["step"] for record in logs[0]] == [record["step"] for record in logs[1]]
    assert [record["sliced_w1"] for record in logs[0]] == [record["sliced_w1"] for record in logs[1]]
    assert not [path for path in folder.rglob("*") if "tmp" in path.name]
    assert (folder / "report.html").exists()


@linux
@pytest.mark.slow
def test_a_signal_to_one_worker_saves_and_stops_all_and_the_run_goes_on_with_one_and_with_two(
    started: Callable[..., subprocess.Popen[str]],
    cli: Callable[..., Any],
    points_file: Path,
    tmp_path: Path,
    tiny: tuple[str, ...],
) -> None:
    folder = tmp_path / "run"
    process = started("train", points_file, "--out", folder, "--steps", "1000000", *tiny)
    wait_for_step(process, folder, 50)
    os.kill(worker(process, 1), signal.SIGTERM)
    code, _, err = said(process)
    assert code != 0 and err.count(f"saved. Go on with: wassergan resume {folder}") == 1
    assert "wassergan: " not in err
    reached = state(folder)["step"]
    assert reached >= 50
    assert cli("resume", folder, "--steps", reached + 3).code == 0
    code, _, err = said(started("resume", folder, "--steps", reached + 6))
    assert code == 0, err
    assert state(folder)["step"] == reached + 6


@pytest.mark.slow
def test_a_signal_to_torchrun_saves_and_stops(
    started: Callable[..., subprocess.Popen[str]], points_file: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    folder = tmp_path / "run"
    process = started("train", points_file, "--out", folder, "--steps", "1000000", *tiny, fresh=True)
    wait_for_step(process, folder, 50)
    process.send_signal(signal.SIGINT)
    code, _, err = said(process)
    assert code != 0 and f"saved. Go on with: wassergan resume {folder}" in err
    steps = [record["step"] for record in read_log(folder / "log.jsonl")]
    assert steps[-1] == state(folder)["step"] >= 50 and len(set(steps)) == len(steps)


def beside_each_other(*argv: object) -> list[subprocess.Popen[str]]:
    """Two processes without a torchrun that would end one where the other is lost."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
    return [
        forked.start(
            ["wassergan", *argv],
            env={**os.environ, **place, "RANK": rank, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": "2"},
            **PIPES,
        )
        for rank in ("0", "1")
    ]


def read_until(process: subprocess.Popen[str], phrase: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if phrase in line:
            return
    raise AssertionError(f"ended before {phrase}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "phrase"), [("evaluate", "Samples of the generator"), ("evaluate", "Near copies"), ("sample", "")]
)
@pytest.mark.parametrize("lost", [0, 1])
def test_who_loses_another_ends_with_one_sentence(
    verb: str, phrase: str, lost: int, finished_run: Path, tmp_path: Path
) -> None:
    # More samples than any machine draws before the other is lost.
    count, out = (10_000, tmp_path / "judged") if verb == "evaluate" else (30_000_000, tmp_path / "samples.npy")
    processes = beside_each_other(verb, finished_run, "--count", count, "--out", out)
    try:
        if phrase:
            read_until(processes[0], phrase)
        while not phrase and not list(tmp_path.glob("*.tmp.npy")):
            assert processes[0].poll() is None, processes[0].communicate()[1]
            time.sleep(0.02)
        processes[lost].kill()
        code, printed, err = said(processes[1 - lost])
        assert (code, printed) == (1, "") or (verb, lost) == ("evaluate", 1)  # which may have judged already
        last = err.splitlines()[-1]
        assert last.startswith("wassergan: Another process of the run was lost") and err.count("wassergan: ") == 1
        assert "Traceback" not in err and ".cc:" not in err
        assert not out.is_file()
        assert lost == 0 or not list(tmp_path.glob("*.tmp.npy"))
    finally:
        for each in processes:
            each.kill()
            each.communicate()


@linux
@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_torchrun_ends_an_evaluation_that_lost_a_process(
    started: Callable[..., subprocess.Popen[str]], lost: int, finished_run: Path, tmp_path: Path
) -> None:
    process = started("evaluate", finished_run, "--count", "10000", "--out", tmp_path / "judged")
    victim = worker(process, lost)
    read_until(process, "Samples of the generator")
    os.kill(victim, signal.SIGKILL)
    code, _, err = said(process)
    assert code != 0 and err.count("wassergan: ") <= 1
    assert not (tmp_path / "judged" / "metrics.json").exists()
