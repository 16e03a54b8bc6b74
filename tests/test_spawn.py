"""Processes that start afresh, as all do on macOS and Windows: what they need travels, and locks hold between them."""

import multiprocessing
from pathlib import Path

import pytest
import torch

from wassergan import TrainSettings, WassersteinGAN, resume_run, train_run
from wassergan.storage.checkpoint import load_checkpoint
from wassergan.storage.lock import held


@pytest.mark.slow
def test_a_run_of_a_spawned_process_goes_on_here_bit_for_bit_and_its_lock_holds(
    tmp_path: Path, points_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    common = {"latent_dim": 3, "batch_size": 8, "tick_steps": 2, "threads": 1, "tensorboard": False, "previews": False}
    short = TrainSettings(str(points_file), steps=3, **common)  # type: ignore[arg-type]
    spawn = multiprocessing.get_context("spawn")
    folders = [tmp_path / "run", tmp_path / "taken"]
    with held(folders[1]):
        children = [spawn.Process(target=train_run, args=(short, folder)) for folder in folders]
        for each in children:
            each.start()
        for each in children:
            each.join(timeout=300)
    assert [each.exitcode for each in children] == [0, 1]
    assert "is being written by another process" in capfd.readouterr().err
    resume_run(folders[0], {"steps": 6})
    train_run(TrainSettings(str(points_file), steps=6, **common), tmp_path / "whole")  # type: ignore[arg-type]
    one, other = (
        load_checkpoint(folder / "checkpoints" / "latest.pt")["trainer"] for folder in (folders[0], tmp_path / "whole")
    )
    assert one["step"] == other["step"] == 6
    for part in ("generator", "critic", "average"):
        assert all(torch.equal(one[part][name], other[part][name]) for name in other[part])


@pytest.mark.slow
def test_an_estimator_draws_alike_in_a_spawned_process() -> None:
    gan = WassersteinGAN(steps=2, latent_dim=3, batch_size=8).fit(torch.randn(60, 2).numpy())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        drawn = pool.apply(gan.sample, (5,), {"seed": 3})
    assert (drawn == gan.sample(5, seed=3)).all()
