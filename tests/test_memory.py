"""A run's memory is flat: what it holds after thousands of steps is what it held after the first thousand."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from wassergan.config.settings import TrainSettings
from wassergan.runs.train import Callback, train_run  # type: ignore[attr-defined]
from wassergan.training import Trainer

STEPS, WARM_UP, EVERY = 5000, 1000, 100
# One batch of 64 points kept per critic step would be 4 MiB over these steps, one figure per tick 10 MiB.
LARGEST_GROWTH = 2**20


def resident() -> int:
    """Bytes that this process holds, without files' pages and without what the allocator keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(fields["RssAnon"].split()[0])


class Watch(Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.step > WARM_UP and trainer.step % EVERY == 0:
            self.seen.append((trainer.step, resident()))


@pytest.mark.slow
@pytest.mark.usefixtures("real_figures", "flat_memory")
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="asks glibc to give back what is free")
def test_memory_is_flat_over_5000_steps_with_ticks_checkpoints_and_previews(tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32))
    watch = Watch()
    settings = TrainSettings(
        data=str(tmp_path / "points.npy"), steps=STEPS, tick_steps=500, threads=1, batch_size=64, critic_steps=2,
        latent_dim=3, generator_widths=(16,), critic_widths=(16,), tensorboard=False,
    )  # fmt: skip
    train_run(settings, tmp_path / "run", callback=watch)
    steps, held = np.array(watch.seen, dtype=float).T
    slope = np.polyfit(steps, held, 1)[0]
    assert slope * (STEPS - WARM_UP) < LARGEST_GROWTH, held / 2**20
