"""A run folder under kills, faults, links, damage and other processes, in an order that hypothesis chooses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wassergan

ROOT = Path(__file__).parents[1]
EXAMPLES = 50


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_whatever_happens_to_a_run_folder_nothing_is_lost() -> None:
    # In a process of its own: what is forked must hold no threads of other tests.
    command = [sys.executable, "fuzz/states.py", str(EXAMPLES), "--steps", "2", "--kinds", "pictures"]
    environment = os.environ | {"PYTHONPATH": str(Path(wassergan.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    found = dict(re.findall(r"'([a-z ]+)': (\d+)", done.stdout))
    assert int(found["runs"]) >= EXAMPLES and found["ended bit for bit"] == found["runs"]
