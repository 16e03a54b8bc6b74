import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
import torch

from wassergan.training import Trainer
from wassergan.utils import allocator as memory
from wassergan.utils.allocator import MMAP_THRESHOLD, TRIM_THRESHOLD, USERS_OWN, freed_memory_kept

PAGES = 2**27 // resource.getpagesize()  # in what one turn takes and frees

# In a process of its own: 128 MiB a turn, and afterwards 256 in a piece that is larger than what may lie free.
SINGLE_PROCESS = """
import json, resource
import torch
import wassergan.training  # what lies in the heap as a run begins
from wassergan.utils.allocator import freed_memory_kept

def pages_mapped(pieces, numbers):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(numbers) for _ in range(pieces)]
    del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def turns(pieces, numbers):
    return [pages_mapped(pieces, numbers) for _ in range(6)]

def resident():
    return int(open("/proc/self/statm").read().split()[1])

with freed_memory_kept():
    inside, kept = turns(4, 2**23), resident()
print(json.dumps({"inside": inside, "given_back": kept - resident(), "outside": turns(1, 2**26)}))
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")


def run_alone(**environment: str) -> dict[str, Any]:
    """Pages mapped in each turn while memory is kept and afterwards, and those that were given back between."""
    inherited = {name: value for name, value in os.environ.items() if name not in USERS_OWN}
    done = subprocess.run(
        [sys.executable, "-c", SINGLE_PROCESS], env=inherited | environment, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_was_freed_is_taken_again_and_given_back_at_the_end() -> None:
    pages = run_alone()
    assert median(pages["inside"]) < PAGES // 10
    assert pages["given_back"] > PAGES // 2
    assert median(pages["outside"]) > PAGES // 2


def test_thresholds_of_the_user_stay() -> None:
    assert median(run_alone(MALLOC_TRIM_THRESHOLD_="1000000")["inside"]) > PAGES // 2


class OldLibrary:
    """glibc before 2.35, which refuses to map only pieces of more than 32 MiB on their own."""

    def __init__(self) -> None:
        self.set: dict[int, int] = {}

    def mallopt(self, parameter: int, size: int) -> int:
        accepted = parameter != MMAP_THRESHOLD or size <= 2**25
        if accepted:
            self.set[parameter] = size
        return int(accepted)

    def malloc_trim(self, pad: int) -> int:
        return 1


def test_an_older_library_gets_the_largest_threshold_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in USERS_OWN:
        monkeypatch.delenv(name, raising=False)
    library = OldLibrary()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: library)  # type: ignore[attr-defined]
    with freed_memory_kept():
        assert library.set == {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**25}
    assert library.set == {TRIM_THRESHOLD: 2**26, MMAP_THRESHOLD: 2**25}


def test_training_keeps_what_its_steps_free(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in USERS_OWN:
        monkeypatch.delenv(name, raising=False)
    mapped: list[int] = []

    def on_step(trainer: Any) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        held = [torch.ones(2**24) for _ in range(2)]
        del held
        mapped.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

    make_trainer().train(steps=6, on_step=on_step)
    assert median(mapped) < PAGES // 10
