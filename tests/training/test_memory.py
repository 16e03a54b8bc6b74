import platform
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from wassergan.training import Trainer
from wassergan.training.memory import USERS_OWN, freed_memory_kept

PAGES = 2**27 // resource.getpagesize()  # in what one turn takes and frees

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")


@pytest.fixture(autouse=True)
def no_thresholds_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in USERS_OWN:
        monkeypatch.delenv(name, raising=False)


def take_and_free() -> int:
    """The pages that the system had to map for 128 MiB in four pieces."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(2**23) for _ in range(4)]
    del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_what_was_freed_is_taken_again_and_given_back_at_the_end() -> None:
    with freed_memory_kept():
        take_and_free()
        assert sum(take_and_free() for _ in range(5)) < PAGES // 2
        kept = resident()
    assert resident() < kept - PAGES // 2
    assert take_and_free() > PAGES // 2


def test_thresholds_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    with freed_memory_kept():
        take_and_free()
        assert take_and_free() > PAGES // 2


def test_training_keeps_what_its_steps_free(make_trainer: Callable[..., Trainer]) -> None:
    mapped: list[int] = []

    def on_step(trainer: Any) -> None:
        mapped.append(take_and_free())

    make_trainer().train(steps=6, on_step=on_step)
    assert sum(mapped[1:]) < PAGES // 2
