import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from wassergan.cli.interrupts import stop_on_signals
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint

sys.path.insert(0, str(Path(__file__).parents[1]))
import forked

PIPES: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
# A fresh interpreter hears the one, a forked one the other: what they run is the same.
FRESH = {signal.SIGINT: True, signal.SIGTERM: False}


def test_the_first_signal_asks_and_the_second_stops_at_once() -> None:
    former = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_on_signals() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
    assert former == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_is_to_be_saved_stops_at_once(number: signal.Signals) -> None:
    with stop_on_signals(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        time.sleep(5)


def begun(*argv: object, fresh: bool) -> subprocess.Popen[str]:
    command = ["wassergan", *map(str, argv)]
    return subprocess.Popen([sys.executable, "-m", *command], **PIPES) if fresh else forked.start(command, **PIPES)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sampling_that_is_stopped_leaves_nothing_half_written(
    tmp_path: Path, finished_run: Path, number: signal.Signals
) -> None:
    out = tmp_path / "many.npy"
    process = begun("sample", finished_run, "--count", 100_000_000, "--out", out, fresh=FRESH[number])
    while process.poll() is None and not list(tmp_path.iterdir()):
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err.strip()) == (130, "wassergan: Interrupted.")
    assert not list(tmp_path.iterdir())


# torchrun sends on what it gets, at times twice.
def test_under_torchrun_the_second_signal_means_no_more_than_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with stop_on_signals() as asked:
        assert not asked()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert asked()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_exits_130_and_the_run_goes_on(
    tmp_path: Path, points_file: Path, tiny: tuple[str, ...], number: signal.Signals
) -> None:
    folder = tmp_path / "run"
    process = begun("train", points_file, "--out", folder, "--steps", 1_000_000, *tiny, fresh=FRESH[number])
    assert process.stderr is not None
    for line in process.stderr:  # until it trains
        if line.startswith("step      50"):
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err and f"Go on with: wassergan resume {folder}" in err
    state = load_checkpoint(Checkpoints(folder / "checkpoints").path("latest"))["trainer"]
    assert state["step"] >= 50
    done = forked.run(["wassergan", "resume", folder, "--steps", state["step"] + 3], text=True)
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(Checkpoints(folder / "checkpoints").path("latest"))["trainer"]["step"] == state["step"] + 3
    assert torch.isfinite(next(iter(state["generator"].values()))).all()
