"""The order in which tests are dealt to the workers of a parallel run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

CONFTEST = Path(__file__).with_name("conftest.py")


@dataclass(frozen=True)
class Item:
    """As much of a test as its place depends on."""

    path: str
    number: int
    slow: bool

    def get_closest_marker(self, name: str) -> bool:
        assert name == "slow"
        return self.slow


@pytest.fixture(scope="module")
def dealt(pytestconfig: pytest.Config) -> Any:
    return pytestconfig.pluginmanager.get_plugin(str(CONFTEST)).dealt  # type: ignore[union-attr]


@given(files=st.lists(st.lists(st.booleans(), max_size=8), max_size=12), workers=st.integers(2, 5))
def test_each_worker_begins_with_whole_files_of_slow_tests(dealt: Any, files: list[list[bool]], workers: int) -> None:
    items = [Item(f"{file}", number, slow) for file, marks in enumerate(files) for number, slow in enumerate(marks)]
    # Enough quick ones that no worker has more slow tests than its piece is long.
    items += [Item("quick", number, False) for number in range(sum(each.slow for each in items) * workers)]
    order = dealt(items, workers)
    assert sorted(order, key=items.index) == items
    homes: dict[str, set[int]] = {}
    for worker in range(workers):
        size = len(order) // (workers - worker)  # as xdist's WorkStealingScheduling.check_schedule cuts
        piece, order = order[:size], order[size:]
        marks = [each.slow for each in piece]
        assert marks == sorted(marks, reverse=True)
        for each in piece:
            if each.slow:
                homes.setdefault(each.path, set()).add(worker)
    assert all(len(each) == 1 for each in homes.values())
    slow_files = [str(file) for file, marks in enumerate(files) if any(marks)]
    assert {file: min(homes[file]) for file in slow_files} == {
        file: place % workers for place, file in enumerate(slow_files)
    }
