import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from wassergan.cli.run_words import run_in_words


def test_a_run_in_json_holds_what_a_program_reads(cli: Callable[..., Any], finished_run: Path) -> None:
    facts = json.loads(cli("info", finished_run, "--json").out)
    assert {
        *("preset", "constraint", "steps", "seconds", "steps_per_second", "samples_per_second"),
        *("sliced_w1", "sliced_w1_floor"),
    } <= facts.keys()
    assert (facts["preset"], facts["constraint"], facts["steps"]) == ("default", "lp", 5)
    assert facts["settings"]["latent_dim"] == 3


def test_a_run_in_words(cli: Callable[..., Any], finished_run: Path) -> None:
    out = cli("info", finished_run).out
    assert "constraint           lp" in out and "latent_dim 3" in out
    assert len(out.splitlines()) <= 24 and max(map(len, out.splitlines())) <= 120
    every = cli("info", finished_run, "--all").out
    assert "  latent_dim         3" in every and "  tick_steps" in every and "gradient_norm_mean" in every


def test_a_screen_holds_a_run_with_many_notes_and_names_of_any_length() -> None:
    settings = {"steps": None, "budget": 3.0, "latent_dim": 4, "condition": ("a" * 300, "b")}
    facts = {
        "run": "r",
        "data": "",
        "kind": "table",
        "preset": "default",
        "constraint": "lp",
        "network": None,
        "steps": 7,
        "seconds": 1.25,
        "best_step": 0,
        "rollbacks": [],
        "settings": settings,
        "notes": [f"note {number}" for number in range(50)],
    }
    lines = run_in_words(facts)
    assert len(lines) <= 24 and "note 3" in "".join(lines) and "note 4" not in "".join(lines)
    long = run_in_words(facts | {"notes": ["a column " + "is told of at length " * 40, ""]})
    assert max(map(len, long[8:])) <= 80 and sum("told of" in line for line in long) == 2 and " ..." in "".join(long)
    assert any("and 46 more notes" in line for line in lines) and any("of 3 s" in line for line in lines)


def test_data_are_described_before_training(cli: Callable[..., Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(40, 6, 5)).astype("f4"), y=np.arange(40))
    said = cli("info", tmp_path / "a.npz", "--json")
    assert json.loads(said.out) == {
        "data": "a.npz:x",
        "kind": "field",
        "samples": 40,
        "train": 36,
        "heldout": 4,
        "shape": [1, 6, 5],
        "layout": "NHW",
        "dtype": "float32",
        "round trip": "as written: the channel",
        "read as": "fields of 6 x 5; --layout NTC: series of 6 steps, 5 channels",
        "notes": [
            "Using the array x of a.npz, shape (40, 6, 5).",
            "Passed over in a.npz: y (--key and --condition name arrays).",
        ],
    }
    assert "Using the array x" in said.err
    assert "kind                 field" in cli("info", tmp_path / "a.npz").out


def test_something_that_is_neither(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "There is no" in refused("info", tmp_path / "gone")


def test_env_names_versions_and_processors(cli: Callable[..., Any]) -> None:
    import torch

    facts = json.loads(cli("env", "--json").out)
    assert facts["torch"] == torch.__version__.split("+")[0] or facts["torch"] == torch.__version__
    assert facts["cpu_cores"] >= 1 and facts["cuda"]
    assert "cpu_capability" in cli("env").out


def test_env_says_what_is_missing(cli: Callable[..., Any], monkeypatch) -> None:
    monkeypatch.setattr("wassergan.utils.environment.PACKAGES", ("torch", "no-such-package"))
    assert json.loads(cli("env", "--json").out)["no-such-package"] == "not installed"
