"""A run whose page shows all that a page can show."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def metrics(**changes: Any) -> dict[str, Any]:
    """What `evaluate` writes."""
    return {
        "protocol": {
            "features": "pixels", "feature_dim": 64, "generated": 360, "training": 1437, "heldout": 360, "seed": 0,
            "step": 9, "weights": "average", "against": None, "seconds": 1.0, "wassergan": "0",
        },
        "metrics": [
            {"name": "frechet_distance", "label": "Fréchet distance", "value": 1.25, "error": None, "floor": 0.75,
             "floor_error": None, "better": "lower", "features": "pixels", "generated": 360, "reference": 360,
             "note": "pixels"},
            {"name": "kernel_distance", "label": "Kernel distance", "value": 0.0123, "error": 0.0004, "floor": 0.0011,
             "floor_error": 0.0002, "better": "lower", "features": "pixels", "generated": 360, "reference": 360,
             "note": ""},
            {"name": "c2st", "label": "Classifier AUC", "value": 0.61, "error": None, "floor": None,
             "floor_error": None, "better": "near_floor", "features": "pixels", "generated": 360, "reference": 360,
             "note": "no floor here"},
        ],
        "memorisation": {
            "share_near_copies": 0.25, "share_near_copies_heldout": 0.01, "median_distance_generated": 0.5,
            "median_distance_heldout": 1.0, "threshold": 0.1, "flagged": True,
            "closest": [{"generated": 7, "training": 1234, "distance": 0.0625}],
            "picture": "evaluation/neighbours.png", "sentence": "A quarter of the samples are near copies.",
        },
        "verdict": {"sentence": "The generator repeats its training data.", "flags": ["memorised"]},
    } | changes  # fmt: skip


def table_metrics(name: str) -> dict[str, Any]:
    """What `evaluate` adds and changes for a table with a column of a name."""
    anchors = {"independent": 0.99, "independent_error": 0.001}
    plain = metrics()
    return {
        "protocol": plain["protocol"] | {
            "kind": "table", "target": name, "target_note": "named by --target", "sdmetrics": "SDMetrics is missing",
            "independent": "shuffled",
        },
        "metrics": [row | anchors | {"label": f"{row['label']} of {name}"} for row in plain["metrics"]],
        "columns": [
            {"name": name, "kind": "category", "distance": 0.25, "floor": 0.125, "missing": 0.5, "missing_real": 0.25,
             "invalid": 0.0625},
        ],
        "pairs": [
            {"columns": [name, "age"], "real": 0.75, "generated": 0.5, "picture": "evaluation/neighbours.png"},
            {"columns": [name, "gone"], "real": 0.75, "generated": 0.5, "picture": "evaluation/gone.png"},
        ],
        "pictures": {"marginals": "evaluation/neighbours.png"},
        "memorisation": plain["memorisation"] | {
            "picture": None, "exact_copies": 0.03, "exact_copies_heldout": 0.04, "privacy": "It is no guarantee.",
        },
    }  # fmt: skip


@pytest.fixture
def judged_run(finished_run: Path, tmp_path: Path) -> Path:
    """A finished run that was evaluated, with three sample grids in three colours."""
    finished_run = shutil.copytree(finished_run, tmp_path / "judged")
    (finished_run / "metrics.json").write_text(json.dumps(metrics()), encoding="utf-8")
    (finished_run / "evaluation").mkdir()
    Image.new("RGB", (40, 20), "teal").save(finished_run / "evaluation" / "neighbours.png")
    for path in (finished_run / "samples").glob("*.png"):
        path.unlink()
    for step, colour in ((0, "black"), (50, "red"), (100, "white")):
        Image.new("RGB", (64, 64), colour).save(finished_run / "samples" / f"step-{step:09d}.png")
    return finished_run


@pytest.fixture
def write_metrics() -> Callable[..., None]:
    """Write a run's metrics, changed."""

    def write(run: Path, **changes: Any) -> None:
        (run / "metrics.json").write_text(json.dumps(metrics(**changes)), encoding="utf-8")

    return write


@pytest.fixture
def metrics_of_a_table() -> Callable[[str], dict[str, Any]]:
    """What `evaluate` writes of a table, but for what is the same for all data."""
    return table_metrics


@pytest.fixture
def write_table_metrics(write_metrics: Callable[..., None]) -> Callable[[Path, str], None]:
    """Write metrics as of a run on a table with a column of a name."""
    return lambda run, name: write_metrics(run, **table_metrics(name))
