"""What a verb writes together is all of one call, whatever stops it."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wassergan.cli.main import main
from wassergan.config.verbs import EvaluateSettings
from wassergan.errors import UserError
from wassergan.runs.evaluate import evaluate_run
from wassergan.runs.recorder import write_run_report
from wassergan.storage import together

pytestmark = pytest.mark.usefixtures("quick_figures")


class DiedError(BaseException):
    """Of a process that is gone: nothing is tidied up."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    np.save(folder / "pictures.npy", np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8))
    flags = ["--latent-dim", "3", "--generator-widths", "8", "--critic-widths", "8", "--batch-size", "8"]
    flags += ["--steps", "2", "--heldout", "0.3", "--no-tensorboard", "--keep", "3"]
    assert main(["train", str(folder / "pictures.npy"), "--out", str(folder / "run"), *flags]) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def died(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Call a verb that dies as all its files are ready; the journal that it leaves."""

    def die(*ignored: object) -> None:
        raise DiedError

    def call(folder: Path, *argv: object) -> dict[str, Any]:
        with monkeypatch.context() as patched:
            patched.setattr(together, "_make", die)
            with pytest.raises(DiedError):
                main([*map(str, argv)])
        (journal,) = folder.glob(".wassergan-*.moves")
        found: dict[str, Any] = json.loads(journal.read_text())
        return found

    return call


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith((".wassergan-", "features-"))  # caches are made as needed
    }


def hidden(folder: Path) -> list[Path]:
    return list(folder.rglob(".wassergan-*"))


@pytest.mark.parametrize("reader", ["report", "compare", "resume"])
def test_an_evaluation_that_dies_is_whole_for_whoever_reads_it(
    run: Path, died: Callable[..., dict[str, Any]], reader: str
) -> None:
    assert main(["evaluate", str(run), "--seed", "1"]) == 0
    before = content(run)
    journal = died(run, "evaluate", run, "--seed", "2")
    assert {to for _, to in journal["moved"]} == {"metrics.json", "report.html", "evaluation/neighbours.png"}
    assert content(run) == before
    rest = {"report": [], "compare": [str(run)], "resume": ["--steps", "3"]}[reader]
    assert main([reader, str(run), *rest]) == 0
    after = content(run)
    assert json.loads(after["metrics.json"])["protocol"]["seed"] == 2
    changed = {name for name in before if before[name] != after[name]}
    assert changed >= {"metrics.json", "report.html", "evaluation/neighbours.png"} and not hidden(run)


def test_figures_and_a_comparison_that_die_are_finished_by_the_next_call(
    run: Path, died: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    journal = died(run / "visualization", "visualize", run)
    assert {to for _, to in journal["moved"]} == {"interpolation.webp", "interpolation.png", "truncation.png"}
    assert content(run / "visualization") == {}
    out = tmp_path / "both"
    journal = died(out, "compare", run, run, "--out", out)
    assert {to for _, to in journal["moved"]} == {"curves.png", "comparison.txt", "comparison.json"}
    assert content(out) == {}
    assert (
        main(["visualize", str(run), "--seed", "3"]) == 0
        and main(["compare", str(run), str(run), "--out", str(out)]) == 0
    )
    assert (
        len(content(run / "visualization")) == len(content(out)) == 3
        and not hidden(run / "visualization")
        and not hidden(out)
    )


def test_the_page_that_comes_with_an_evaluation_shows_its_pictures_and_numbers(run: Path) -> None:
    for seed in (1, 2):
        result = evaluate_run(EvaluateSettings(run=str(run), seed=seed))
        page = (run / "report.html").read_text()
        assert base64.b64encode((run / "evaluation" / "neighbours.png").read_bytes()).decode() in page
        assert result["verdict"]["sentence"][:40] in page
    shown = page
    assert write_run_report(run).read_text() == shown


def test_numbers_are_kept_where_the_page_cannot_be_written(run: Path) -> None:
    (run / "log.jsonl").write_text('{"step": 0}\n')
    with pytest.raises(UserError, match="The run .* does not hold what it should"):
        evaluate_run(EvaluateSettings(run=str(run), seed=4))
    assert json.loads((run / "metrics.json").read_text())["protocol"]["seed"] == 4
    assert (run / "evaluation" / "neighbours.png").exists() and not hidden(run)
