import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import wassergan.modality
from wassergan.cli.fid import OF_TWO
from wassergan.evaluation.frechet import frechet_distance, moments_of


@pytest.fixture
def samples(tmp_path: Path, numbers: np.random.Generator) -> Path:
    np.save(tmp_path / "a.npy", numbers.normal(size=(200, 2)).astype("float32"))
    np.save(tmp_path / "b.npy", (numbers.normal(size=(80, 2)) + [3, 0]).astype("float32"))
    return tmp_path


def test_arrays_have_every_metric_with_its_floor(cli: Callable[..., Any], samples: Path) -> None:
    found = json.loads(cli("fid", samples / "a.npy", samples / "b.npy", "--json").out)
    rows = {row["name"]: row for row in found["metrics"]}
    assert next(iter(rows)) == "frechet_distance" and {"precision", "recall", "sliced_w1", "c2st_auc"} <= rows.keys()
    assert all(row["floor"] is not None for row in rows.values())
    assert (found["samples_a"], found["samples_b"]) == (200, 80)
    # Two normals at distance 3: the square, in units of A's deviation.
    assert 7 < rows["frechet_distance"]["value"] < 11 and rows["frechet_distance"]["floor"] < 0.3
    assert "far" in found["flags"] and found["copies"]["copied"] == 0


def test_the_frechet_distance_is_that_of_all_of_b_and_half_of_a(cli: Callable[..., Any], samples: Path) -> None:
    import torch

    from wassergan import open_source

    found = json.loads(cli("fid", samples / "a.npy", samples / "b.npy", "--json", "--seed", 3).out)
    source = open_source(samples / "a.npy", heldout=0.5, seed=3)
    real = source.heldout(torch.arange(source.heldout_count))
    other = source.codec.encode(torch.from_numpy(np.load(samples / "b.npy")))
    expected = frechet_distance(moments_of(real), moments_of(other))
    assert found["metrics"][0]["value"] == pytest.approx(expected, rel=1e-4)


def test_what_goes_on_is_said_of_two_data_sets_and_of_no_generator(cli: Callable[..., Any], samples: Path) -> None:
    err = cli("fid", samples / "a.npy", samples / "b.npy").err
    assert "Features of B" in err and "Features of the half of A that gives the floors" in err
    assert "generator" not in err and "training" not in err


def test_every_sentence_of_evaluators_that_speaks_of_a_run_has_one_of_two_data_sets() -> None:
    said = {
        call.args[0].value
        for file in Path(wassergan.modality.__file__).parent.glob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("log")
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }
    assert len(said) > 5
    of_a_run = {each for each in said if "generator" in each or "training" in each}
    assert of_a_run == OF_TWO.keys() - {"Features of the held-out samples"}
    assert not any("generator" in each or "training" in each for each in OF_TWO.values())


def test_copies_are_seen(cli: Callable[..., Any], samples: Path) -> None:
    out = cli("fid", samples / "a.npy", samples / "a.npy").out
    assert "Beyond what chance explains: copies" in out and "generator" not in out


def test_tables_with_levels_that_a_does_not_know(
    cli: Callable[..., Any], tmp_path: Path, numbers: np.random.Generator
) -> None:
    for name, levels in (("a", ["x", "y"]), ("b", ["x", "z"])):
        frame = pd.DataFrame({"n": numbers.normal(size=120).round(3), "k": numbers.choice(levels, 120)})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    out = cli("fid", tmp_path / "a.csv", tmp_path / "b.csv").out
    assert "independent" in out and "Fréchet" not in out.splitlines()[0]


def test_what_cannot_be_compared(refused: Callable[..., str], samples: Path) -> None:
    np.save(samples / "wide.npy", np.random.default_rng(0).normal(size=(50, 5)).astype("float32"))
    message = refused("fid", samples / "a.npy", samples / "wide.npy")
    assert "cannot be held against" in message and "run" not in message
    assert "There is no" in refused("fid", samples / "a.npy", samples / "gone.npy")
    assert "so many" in refused("fid", samples / "a.npy", samples / "b.npy", "--count", 81)
    assert "Unknown features" in refused("fid", samples / "a.npy", samples / "b.npy", "--features", "nothing")
    assert "64 bits" in refused("fid", samples / "a.npy", samples / "b.npy", "--seed", 2**63)
    np.save(samples / "few.npy", np.zeros((3, 2), "float32"))
    assert refused("fid", samples / "a.npy", samples / "few.npy")
