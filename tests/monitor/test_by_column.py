"""Files against a reference, column by column and piece by piece."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wassergan.distances import wasserstein_line
from wassergan.errors import UserError
from wassergan.monitor import by_column, streamed_drifts


def files(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    rng = np.random.default_rng(0)

    def frame(rows: int, shift: float) -> pd.DataFrame:
        gone = np.where(rng.random(rows) < 0.1 + shift / 10, np.nan, rng.normal(size=rows))
        count = rng.poisson(3, rows)
        return pd.DataFrame({"a": rng.normal(size=rows) + shift, "n": count, "gone": gone, "word": ["x"] * rows})

    one, two = frame(700, 0.0), frame(3000, 2.0)
    one.to_parquet(folder / "one.parquet")
    two[["n", "gone", "a", "word"]].to_parquet(folder / "two.parquet", row_group_size=800)
    return one, two, [str(folder / f"{name}.parquet") for name in ("one", "two")]


@pytest.mark.parametrize("numbers", [2**23, 1000])
def test_all_rows_count_whatever_the_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    one, two, (reference, new) = files(tmp_path)
    monkeypatch.setattr(by_column, "PIECE_NUMBERS", numbers)
    said: list[str] = []
    found = {each.name: each for each in streamed_drifts(reference, new, permutations=99, alpha=0.05, log=said.append)}
    assert set(found) == {"a", "n", "gone"} and any("no numbers are left out: word" in each for each in said)
    for name, each in found.items():
        x, y = one[name].dropna().to_numpy(float), two[name].dropna().to_numpy(float)
        assert each.w1_lower <= wasserstein_line(x, y).item() <= each.w1_upper and each.rows == (700, 3000)
        assert each.drift.shift == pytest.approx(y.mean() - x.mean(), abs=1e-12)
        assert each.drift.missing_batch == pytest.approx(two[name].isna().mean())
    assert found["a"].drift.moved and found["a"].drift.direction == "up" and not found["n"].drift.moved
    assert found["gone"].drift.moved and found["gone"].drift.missing_adjusted < 0.05
    again = streamed_drifts(reference, new, permutations=99, columns=["n"])
    assert [each.name for each in again] == ["n"] and again[0].w1_lower == pytest.approx(found["n"].w1_lower)


def test_arrays_are_streamed_by_position(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(300, 2)), rng.normal(size=(900, 2)) + [0.0, 1.0]
    for name, rows in (("x", x), ("y", y), ("flat", x[:, 0]), ("cube", x[:, None])):
        np.save(tmp_path / f"{name}.npy", rows)
    found = streamed_drifts(tmp_path / "x.npy", tmp_path / "y.npy", permutations=99)
    assert found[0].name == "1" and found[0].drift.moved and not found[1].drift.moved
    assert streamed_drifts(tmp_path / "flat.npy", tmp_path / "flat.npy", permutations=9)[0].w1_lower == 0
    np.save(tmp_path / "bad.npy", np.where(np.arange(900)[:, None] == 777, np.inf, y))
    for bad, words in (
        ("cube", "must hold rows of numbers"),
        ("flat", "lacks columns of the reference: 1"),
        ("bad", "infinite values: the first in row 777, column 0"),
    ):
        with pytest.raises(UserError, match=words):
            streamed_drifts(tmp_path / "x.npy", tmp_path / f"{bad}.npy")
    with pytest.raises(UserError, match="cannot be read piece by piece"):
        streamed_drifts(tmp_path / "x.npy", tmp_path / "y.csv")
    with pytest.raises(UserError, match="Unknown column"):
        streamed_drifts(tmp_path / "x.npy", tmp_path / "y.npy", columns=["3"])
