"""The file of a monitor's state, changed by others: refused in a sentence, or gone on from; never believed blindly."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from wassergan.errors import UserError
from wassergan.monitor import SeasonalMonitor, W1Monitor
from wassergan.monitor import state as state_module
from wassergan.monitor.state import MonitorState
from wassergan.report.watch import write_watch_page
from wassergan.storage.archive import read_archive

ODD: tuple[Any, ...] = (None, "x", "", -7, 0, 2**80, 1.5, -0.5, math.nan, math.inf, True, [], [1.0], {}, [[]], {"a": 1})


def a_monitor() -> W1Monitor:
    return W1Monitor(np.arange(24.0).reshape(12, 2) % 7, permutations=9, rows=4, projections=2, alpha=0.2)


def goes_on(folder: Path) -> None:
    monitor, state = a_monitor(), MonitorState(folder)
    state.load(monitor)
    report = monitor.check(np.arange(12.0).reshape(6, 2))
    state.save(monitor, report)
    write_watch_page(folder / "page.html", "a", monitor.alpha, state.history, report.facts())
    for evidence in (monitor.evidence, report.evidence):
        assert evidence.batches >= 1 and 0 < evidence.p_value <= 1
        assert all(
            each is None or 1 <= each <= evidence.batches for each in (evidence.alarm_at, evidence.changed_since)
        )


def leaves(content: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, each in inner:
        yield from leaves(each, *path, name)


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    whole = copy.deepcopy(content)
    inner = whole
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return whole


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("state")
    for _ in range(2):
        goes_on(folder)
    content: dict[str, Any] = read_archive(folder / "state.pt")
    return {**content, "history": json.loads(content["history"])}


def test_every_part_of_a_state_may_be_anything(sound: dict[str, Any], tmp_path: Path) -> None:
    refused = 0
    for number, path in enumerate(leaves(sound)):
        for value in ODD[number % 4 :: 4]:
            content = replaced(sound, path, value)
            if isinstance(content, dict) and isinstance(content.get("history"), list | dict):
                content["history"] = json.dumps(content["history"])
            torch.save(content, tmp_path / "state.pt")
            try:
                goes_on(tmp_path)
            except UserError as error:
                refused += 1
                assert "\n" not in str(error) and len(str(error)) < 500
    assert refused > 100


def test_what_no_monitor_writes_is_not_believed(sound: dict[str, Any], tmp_path: Path) -> None:
    for path, value in (
        (("monitor", "evidence", "alarm_at"), 99),
        (("monitor", "evidence", "best"), math.nan),
        (("monitor", "evidence", "logs", 0), math.inf),
        (("monitor", "evidence", "run_starts"), [5] * 3),
        (("monitor", "batches"), -1),
        (("monitor", "pool"), torch.full((3, 4), math.nan, dtype=torch.float64)),
        (("monitor", "points"), torch.zeros(1, dtype=torch.float64).expand(10**7, 4)),
        (("monitor", "points"), torch.zeros(3, 4, dtype=torch.float64).to_sparse()),
        (("history", 0, "p_value"), 0.0),
        (("history", 0, "moved"), [1]),
        (("history",), "[" * 10**5),
        (("history",), " " * 2**22 + "[]"),
    ):
        content = replaced(sound, path, value)
        if not isinstance(content["history"], str):
            content["history"] = json.dumps(content["history"])
        torch.save(content, tmp_path / "state.pt")
        with pytest.raises(UserError, match=r"damaged|no state of a monitor"):
            MonitorState(tmp_path).load(a_monitor())


def test_a_state_that_is_a_link_is_refused(tmp_path: Path) -> None:
    goes_on(tmp_path)
    (tmp_path / "state.pt").rename(tmp_path / "elsewhere.pt")
    (tmp_path / "state.pt").symlink_to("elsewhere.pt")
    with pytest.raises(UserError, match=r"state\.pt is no regular file: a link"):
        MonitorState(tmp_path).load(a_monitor())


def test_the_history_keeps_the_latest_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MOST_KEPT", 3)
    for _ in range(5):
        goes_on(tmp_path)
    state = MonitorState(tmp_path)
    assert state.load(a_monitor()) and [each["number"] for each in state.history] == [3, 4, 5]
    assert "batch 5" in (tmp_path / "page.html").read_text()
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(state_module, "LARGEST_TEXT", 450)
    for _ in range(3):
        goes_on(other)
    state = MonitorState(other)
    assert state.load(a_monitor()) and state.history[-1]["number"] == 3 and len(state.history) < 3


def flags(rate: int, rows: int) -> pd.DataFrame:
    """As many ones as asked for in a hundred: columns of few values have the same scale and the same levels."""
    ones = np.arange(rows) * 37 % 100 < rate
    return pd.DataFrame({"flag": ones.astype(int), "city": np.where(ones, "u", "v")})


def test_a_state_of_another_reference_with_the_same_scales_is_refused() -> None:
    settings: dict[str, Any] = {"permutations": 9, "rows": 40, "projections": 2}
    first = W1Monitor(flags(30, 200), **settings)
    first.check(flags(30, 50))
    other = W1Monitor(flags(40, 200), **settings)
    other.load_state_dict(first.state_dict())
    with pytest.raises(UserError, match="another reference"):
        other.check(flags(30, 50))
    assert other.batches == other.evidence.batches == 1
    same = W1Monitor(flags(30, 200), **{**settings, "rows": 60})  # more rows of the same reference go on
    same.load_state_dict(first.state_dict())
    assert same.check(flags(30, 50)).number == 2


@pytest.mark.parametrize("change", ["features", "pictures"])
def test_a_state_of_other_pictures_or_features_is_refused(change: str) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (12, 8, 8), dtype=np.uint8)
    settings: dict[str, Any] = {"permutations": 9, "rows": 12, "projections": 2}
    first = W1Monitor(pictures, **settings)
    first.check(pictures[:5])
    other = pictures if change == "features" else rng.integers(0, 99, (12, 8, 8), dtype=np.uint8)
    features = "pixels" if change == "features" else "random-conv"
    second = W1Monitor(other, **settings, features=features)
    second.load_state_dict(first.state_dict())
    with pytest.raises(UserError, match="another reference"):
        second.check(pictures[:5])


def test_seasons_are_told_by_their_text() -> None:
    monitor = SeasonalMonitor({0: np.arange(9.0), 1: np.arange(9.0)}, permutations=9, rows=9)
    assert monitor.check(np.arange(4.0), season=1).season == "1"
    with pytest.raises(UserError, match="Unknown season"):
        monitor.check(np.arange(4.0), season=2)
    with pytest.raises(UserError, match="same name: 0, '0'"):
        SeasonalMonitor({0: np.arange(9.0), "0": np.arange(9.0)})
