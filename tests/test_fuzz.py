"""The targets of fuzz/readers.py, on their seeds, on what once broke them, and on some mutations."""

import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from wassergan.storage import memory

FUZZ = Path(__file__).parents[1] / "fuzz"
MUTATIONS = 25
REFUSED_SEEDS = {("lock", "one")}  # of another machine, and renewed just now


@pytest.fixture(scope="module")
def readers() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("fuzz_readers", FUZZ / "readers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["readers.py"])
        for name, value in (("OMP_NUM_THREADS", "1"), (memory.VARIABLE, "64")):  # the script sets them for good
            patched.setenv(name, os.environ.get(name, value))
        spec.loader.exec_module(module)
    yield module
    module.shutil.rmtree(module.FOLDER)


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.VARIABLE, "64")


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, dropped, or repeated."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place, length = rng.randrange(len(changed) + 1), rng.randint(1, 20)
        match rng.randrange(4):
            case 0:
                changed[place : place + 1] = bytes([rng.choice((0, 255, rng.randrange(256)))])
            case 1:
                del changed[place : place + length]
            case 2:
                changed[place:place] = changed[place : place + length]
            case _:
                changed[place : place + length] = rng.randbytes(length)
    return bytes(changed)


CORPUS = [(path.parent.name, path.name) for path in sorted((FUZZ / "corpus").glob("*/*"))]


def test_every_reader_has_a_seed(readers: ModuleType) -> None:
    assert {target for target, _ in CORPUS} == readers.TARGETS.keys()


@pytest.mark.parametrize(("target", "name"), CORPUS)
def test_a_reader_takes_its_seeds_and_refuses_damage_in_a_sentence(readers: ModuleType, target: str, name: str) -> None:
    content = (FUZZ / "corpus" / target / name).read_bytes()
    taken = readers.survives(target, content)
    assert taken == (not name.startswith("crash") and (target, name) not in REFUSED_SEEDS)
    rng = random.Random(f"{target} {name}")
    for _ in range(MUTATIONS):
        readers.survives(target, mutated(content, rng))
