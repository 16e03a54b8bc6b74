"""What is decided and passed over as data are opened stays with the run, from the first step to the page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from wassergan.data import Codec, open_source
from wassergan.estimator.wasserstein_gan import WassersteinGAN

NOTE = "Using the array x of a.npz, shape (40, 3)."
OTHERS = "Passed over in a.npz: y (--key and --condition name arrays)."


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40))
    return tmp_path / "a.npz"


def test_a_run_keeps_what_was_said_of_its_data(
    archive: Path, cli: Callable[..., Any], tiny: tuple[str, ...], quick_figures: None
) -> None:
    run = archive.parent / "run"
    assert NOTE in cli("train", archive, "--out", run, "--steps", 2, *tiny).err
    assert json.loads((run / "settings.json").read_text())["notes"] == [NOTE, OTHERS]
    for _ in range(2):
        assert json.loads(cli("info", run, "--json").out)["notes"] == [NOTE, OTHERS]
        assert f"note                 {NOTE}" in cli("info", run).out
        assert f"<li>{NOTE}</li>" in (run / "report.html").read_text()
        assert NOTE in cli("resume", run, "--steps", 4).err
    assert json.loads((run / "settings.json").read_text())["notes"] == [NOTE, OTHERS]


def test_an_estimator_keeps_what_was_said_of_its_rows(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"a": np.arange(40) ** 2.0, "b": np.arange(40) % 3, "same": [7.0] * 40})
    gan = WassersteinGAN(steps=1, latent_dim=2, generator_widths=(4,), critic_widths=(4,)).fit(frame)
    assert gan.notes_[0].startswith("Constant in") and "same" in gan.notes_[0]
    gan.save(tmp_path / "gan.pt")
    assert WassersteinGAN.load(tmp_path / "gan.pt").notes_ == gan.notes_


def test_what_a_folder_of_tables_or_shards_holds_besides_is_said(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    folder = tmp_path / "data"
    folder.mkdir()
    for part in range(2):
        pandas.DataFrame({"a": np.arange(30.0) ** (part + 1)}).to_parquet(folder / f"part-{part}.parquet")
    (folder / "notes.txt").write_text("")
    (folder / ".hidden").write_text("")
    (folder / "_SUCCESS").write_text("")
    (folder / "old").mkdir()
    (folder / "gone.parquet").symlink_to(folder / "nowhere")
    source = open_source(folder)
    assert len(source) == 60
    (said,) = [note for note in source.notes if note.startswith("Passed over")]
    for part in ("1 hidden file (.hidden)", "1 of .txt (notes.txt)", "1 without a suffix (_SUCCESS)", "1 folder (old)"):  # type: ignore[assignment]
        assert part in said
    assert "1 link that leads nowhere (gone.parquet)" in said


def test_names_of_channels_are_no_array_that_is_passed_over(tmp_path: Path) -> None:
    fields = np.random.default_rng(0).normal(size=(40, 2, 6, 5))
    np.savez(tmp_path / "f.npz", fields=fields, names=np.array(["t", "q"]), other=np.array(["x", "y", "z"]))
    source = open_source(tmp_path / "f.npz")
    assert isinstance(source.codec, Codec) and source.codec.channels == ("t", "q")
    assert [note for note in source.notes if "Passed over" in note] == [
        "Passed over in f.npz: other (`key` and `condition` name arrays)."
    ]
