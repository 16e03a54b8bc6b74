"""What `train` writes, every other verb reads: combinations of data and settings that nobody chose."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "combinations.py"
COUNT = 60  # of those that the script runs
FOUND = (340, 369)  # pictures larger than all weights of their convolutions, which a guard once refused


@pytest.fixture(scope="module")
def combinations() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("combinations_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.slow
@pytest.mark.usefixtures("quick_judges")
@pytest.mark.parametrize("seed", [*range(COUNT), *FOUND])
def test_a_combination_is_refused_before_the_first_step_or_goes_through_every_verb(
    combinations: ModuleType, tmp_path: Path, seed: int
) -> None:
    with combinations.small_figures():
        combinations.trial(combinations.combination(seed), tmp_path, all_verbs=seed % 4 == 0)


def test_combinations_are_of_all_kinds_and_sizes(combinations: ModuleType) -> None:
    made = [combinations.combination(seed) for seed in range(300)]
    for name, least in (("network", 4), ("constraint", 5), ("objective", 4), ("preset", 4), ("pack", 5), ("maps", 6)):
        assert len({each.settings.get(name) for each in made}) >= least, name
    sizes = sorted(combinations.numbers_of(each.data) for each in made if "shape" in each.data)
    assert sizes[0] == 1 and sizes[-1] > 4000 and any(256 < size < 512 for size in sizes)
