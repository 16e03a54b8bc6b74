from pathlib import Path

import numpy as np
import pytest

from wassergan.cli.main import main
from wassergan.storage.run_folder import RunFolder

TINY = ("--latent-dim", "2", "--generator-widths", "4", "--critic-widths", "4", "--batch-size", "8", "--steps", "1")
NO_PROCESS = 2**31 - 1  # beyond what any system numbers


def test_run_folder_names() -> None:
    place = RunFolder(Path("r"))
    assert [
        str(p) for p in (place.settings, place.log, place.curves, place.samples, place.checkpoints, place.grid(7))
    ] == [
        *("r/settings.json", "r/log.jsonl", "r/curves.png", "r/samples", "r/checkpoints"),
        "r/samples/step-000000007.png",
    ]


def killed_as_it_marked(folder: Path, content: str) -> tuple[list[str], Path]:
    """A folder of a `train` that was killed with so much of its mark in a temporary file; the same call again."""
    folder.mkdir()
    (folder / ".lock").write_text("")
    mark = folder / f".wassergan-{NO_PROCESS}-{'0' * 16}.tmp"
    mark.write_text(content)
    data = folder.parent / "rows.npy"
    np.save(data, np.random.default_rng(0).normal(size=(20, 2)))
    return ["train", str(data), "--out", str(folder), *TINY, "--no-tensorboard", "--no-previews"], mark


@pytest.mark.parametrize("content", ["", "wasser", "wassergan run 0a", "wassergan run " + "0" * 32 + "\n"])
def test_a_run_that_was_killed_as_it_marked_its_folder_begins_again(tmp_path: Path, content: str) -> None:
    argv, mark = killed_as_it_marked(tmp_path / "run", content)
    assert main(argv) == 0
    assert not mark.exists()


@pytest.mark.parametrize("content", ["thesis", "wassergan run of the day", "wassergan run " + "0" * 40])
def test_what_only_has_the_name_of_a_temporary_stays(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv, mark = killed_as_it_marked(tmp_path / "run", content)
    assert main(argv) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert mark.read_text() == content
