"""The table of known bugs fits the source; whether each is caught takes minutes: `python tests/mutations.py`."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import mutations


def test_every_bug_can_be_put_in() -> None:
    assert not [bug.what for bug in mutations.BUGS if mutations.broken_text(bug) is None]


def test_no_two_bugs_have_one_description() -> None:
    names = [bug.what for bug in mutations.BUGS]
    assert not {name for name in names if names.count(name) > 1}


def test_the_test_of_every_bug_is_there() -> None:
    absent = []
    for bug in mutations.BUGS:
        file, _, name = bug.test.partition("::")
        path = mutations.ROOT / "tests" / file
        function = re.escape(name.rpartition("::")[2].partition("[")[0])
        if not path.is_file() or (function and not re.search(rf"def {function}\(", path.read_text(encoding="utf-8"))):
            absent.append(bug.test)
    assert not absent


@pytest.mark.parametrize("broken", ["", "    x = 1\n", "return y z\n"])
def test_a_bug_that_is_no_python_or_not_there_is_found(broken: str) -> None:
    bug = mutations.Bug("", "objectives.py", "import torch\n", broken, "")
    assert (mutations.broken_text(bug) is None) == bool(broken)
    assert mutations.broken_text(mutations.Bug("", "objectives.py", "no such text", "", "")) is None
