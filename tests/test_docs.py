"""The snippets of the guides do what the guides say."""

import json
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wassergan import WassersteinGAN
from wassergan.sampling.calibration import calibrate_marginals
from wassergan.storage.run_log import read_log

DOCS = Path(__file__).parents[1] / "docs"


def snippets(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), flags=re.DOTALL)


class FileClient:
    """Stands in for MLflow's module: writes what it is given into a file, refusing what MLflow would."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start_run(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _write(self, **entry: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def log_params(self, params: dict[str, Any]) -> None:
        self._write(params={str(name): str(value) for name, value in params.items()})

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert all(isinstance(value, float | int) for value in metrics.values())
        self._write(step=step, metrics=metrics)

    def log_artifact(self, local_path: str) -> None:
        assert Path(local_path).is_file()
        self._write(artifact=Path(local_path).name)


def test_a_trainer_without_a_run_is_followed_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    block, *_ = snippets("callbacks.md")
    exec(block, {"__name__": "page"})
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == ["gp", "lp"] and all("gradient norm " in line for line in told)


@pytest.mark.usefixtures("quick_figures")
def test_the_bridge_to_mlflow_hands_on_settings_numbers_and_grids(
    tmp_path: Path, points_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, bridge, use = snippets("callbacks.md")
    names: dict[str, Any] = {}
    exec(bridge, names)
    client = FileClient(tmp_path / "client.jsonl")
    monkeypatch.setitem(sys.modules, "mlflow", client)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    few = "latent_dim=3, batch_size=8, tick_steps=2, steps=3, tensorboard=False"
    use = use.replace('"digits"', repr(str(points_file))).replace("budget=20.0", few).replace("runs/digits", "run")
    assert few in use
    exec(use, names)
    first, *rest = [json.loads(line) for line in client.path.read_text().splitlines()]
    assert first["params"]["constraint"] == "lp" and first["params"]["latent_dim"] == "3"
    log = read_log(tmp_path / "run" / "log.jsonl")
    numbers = [entry for entry in rest if "metrics" in entry]
    assert numbers == [{"step": each.pop("step"), "metrics": each} for each in log]
    # The figure of step 0 is drawn after the first step, when its tick is long told.
    artifacts = [entry["artifact"] for entry in rest if "artifact" in entry]
    assert artifacts == [f"step-{step:09d}.png" for step in (2, 3)]


def words(shown: str) -> list[str]:
    """What a snippet printed, without numbers and levels."""
    return re.sub(r"\b(fe)?male\b|[^a-zA-Z ]+", " ", shown).split()


def test_the_worked_example_of_the_estimator_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a hundredth of the steps it prints what the guide shows, but for numbers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wassergan.modality.tables.calibrate_marginals", partial(calibrate_marginals, rows=512))
    rng = np.random.default_rng(0)
    names: dict[str, Any] = {"others": rng.normal(size=(40, 3)), "pictures": rng.integers(0, 256, (40, 12, 12), "u1")}
    WassersteinGAN(steps=1).fit(names["others"]).save("gan.pt")
    capsys.readouterr()
    guide = (DOCS / "estimator.md").read_text(encoding="utf-8")
    for snippet, shown in re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", guide, flags=re.DOTALL):
        quick = re.sub(r"steps=(\d+)\d\d", r"steps=\1", snippet)
        quick = re.sub(r'budget="\d+m"', "steps=2", quick).replace("GAN(callbacks=", "GAN(steps=2, callbacks=")
        exec(quick, names)
        assert words(capsys.readouterr().out) == words(shown)


def test_the_tests_that_the_page_of_reliability_names_exist() -> None:
    tests, file, found = Path(__file__).parent, "", 0
    for quoted in re.findall(r"`([^`\n]+)`", (DOCS / "reliability.md").read_text(encoding="utf-8")):
        path, _, name = quoted.removeprefix("tests/").partition("::")
        if not (re.fullmatch(r"([\w/]+/)?test_\w+\.py", path) or (name and not path)):
            continue
        file, found = path or file, found + 1
        assert (tests / file).is_file(), quoted
        text = (tests / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text, quoted
    assert found > 40
