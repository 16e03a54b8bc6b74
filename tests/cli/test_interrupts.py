import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from wassergan.cli.interrupts import stop_on_signals
from wassergan.storage.checkpoint import Checkpoints, load_checkpoint


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


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sampling_that_is_stopped_leaves_nothing_half_written(
    tmp_path: Path, finished_run: Path, number: signal.Signals
) -> None:
    out = tmp_path / "many.npy"
    command = [
        sys.executable,
        "-m",
        "wassergan",
        "sample",
        str(finished_run),
        "--count",
        "100000000",
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
    command = [sys.executable, "-m", "wassergan"]
    train = [*command, "train", str(points_file), "--out", str(folder), "--steps", "1000000", *tiny]
    process = subprocess.Popen(train, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
    resume = [*command, "resume", str(folder), "--steps", str(state["step"] + 3)]
    done = subprocess.run(resume, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(Checkpoints(folder / "checkpoints").path("latest"))["trainer"]["step"] == state["step"] + 3
    assert torch.isfinite(next(iter(state["generator"].values()))).all()
