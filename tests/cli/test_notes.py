"""What is decided and passed over as data are opened stays with the run, from the first step to the page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from wassergan.estimator import WassersteinGAN

NOTE = "Using the array x of a.npz, shape (40, 3)."


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40))
    return tmp_path / "a.npz"


def test_a_run_keeps_what_was_said_of_its_data(
    archive: Path, cli: Callable[..., Any], tiny: tuple[str, ...], quick_figures: None
) -> None:
    run = archive.parent / "run"
    assert NOTE in cli("train", archive, "--out", run, "--steps", 2, *tiny).err
    assert json.loads((run / "settings.json").read_text())["notes"] == [NOTE]
    for _ in range(2):
        assert json.loads(cli("info", run, "--json").out)["notes"] == [NOTE]
        assert f"note                 {NOTE}" in cli("info", run).out
        assert f"<li>{NOTE}</li>" in (run / "report.html").read_text()
        assert NOTE in cli("resume", run, "--steps", 4).err
    assert json.loads((run / "settings.json").read_text())["notes"] == [NOTE]


def test_an_estimator_keeps_what_was_said_of_its_rows(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"a": np.arange(40) ** 2.0, "b": np.arange(40) % 3, "same": [7.0] * 40})
    gan = WassersteinGAN(steps=1, latent_dim=2, generator_widths=(4,), critic_widths=(4,)).fit(frame)
    assert gan.notes_[0].startswith("Constant in") and "same" in gan.notes_[0]
    gan.save(tmp_path / "gan.pt")
    assert WassersteinGAN.load(tmp_path / "gan.pt").notes_ == gan.notes_
