import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wassergan.cli.main import main


def survey(path: Path, *, change: float = 0.0) -> Path:
    rng = np.random.default_rng(1)
    group = rng.choice(["a", "b"], 600, p=[0.8, 0.2])
    weight = np.where(group == "a", 1.0, 6.0) + rng.random(600)
    weight[0] += change
    pd.DataFrame({"group": group, "x": rng.normal(size=600).round(2), "w": weight.round(3)}).to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_a_run_with_weights_is_sampled_judged_and_resumed_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = survey(tmp_path / "a.csv"), tmp_path / "run"
    flags = ["--weight", "w", "--batch-size", "50", "--threads", "1", "--no-tensorboard", "--no-previews"]
    assert main(["train", str(data), "--steps", "4", "--out", str(run), *flags]) == 0
    assert main(["sample", str(run), "--count", "3000", "--out", str(tmp_path / "made.csv")]) == 0
    made = pd.read_csv(tmp_path / "made.csv")
    frame = pd.read_csv(data)
    share = frame.loc[frame["group"] == "b", "w"].sum() / frame["w"].sum()
    assert list(made.columns) == ["group", "x"]
    assert (made["group"] == "b").mean() == pytest.approx(share, abs=0.04)  # 0.2 of the rows, 0.6 of the weight
    capsys.readouterr()
    assert main(["evaluate", str(run), "--count", "3000", "--json", "--against", str(data)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"]["effective_heldout"] < found["protocol"]["heldout"] == 600
    assert next(each for each in found["columns"] if each["name"] == "group")["distance"] < 0.06
    assert main(["resume", str(run), "--steps", "5", "--data", str(survey(tmp_path / "b.csv", change=1.0))]) == 2
    assert "there were other weights" in capsys.readouterr().err
    assert main(["resume", str(run), "--steps", "5"]) == 0


def test_info_says_what_weights_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(survey(tmp_path / "a.csv")), "--weight", "w"]) == 0
    told = capsys.readouterr()
    assert "600 rows with weights tell as much as" in told.err and "\n  w " not in told.out
    assert main(["train", str(tmp_path / "a.csv"), "--weight", "nothing", "--steps", "1"]) == 2
    assert "Unknown column of a.csv with weights: 'nothing'" in capsys.readouterr().err
