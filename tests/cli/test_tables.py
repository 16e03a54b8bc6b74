"""Tables through the command line: train, sample, resume, and what is refused."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from wassergan.cli.main import main
from wassergan.config.presets import resolve
from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.errors import UserError
from wassergan.modality.recipes import resolve_for
from wassergan.modality.tables import recipe
from wassergan.runs.train import train_run
from wassergan.session.restore import open_sampler

TEXT = "age,job,since,score\n" + "".join(
    f"{20 + i % 41},{('clerk', 'cook', '', 'smith')[i % 4]},2020-01-{1 + i % 28:02d},"
    f"{'?' if i % 11 == 0 else i % 5}.5\n"
    for i in range(300)
).replace("?.5", "?")


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    (folder / "people.csv").write_text(TEXT)
    widths = {"generator_widths": (16, 16), "critic_widths": (16,), "batch_size": 32}
    train_run(TrainSettings(data=str(folder / "people.csv"), steps=6, previews=False, **widths), folder / "run")  # type: ignore[arg-type]
    (folder / "people.csv").unlink()  # samples need no data
    return folder / "run"


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_samples_are_written_like_the_table_that_came(table_run: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    assert cli("sample", table_run, "--count", 700, "--out", tmp_path / "a.csv").code == 0  # type: ignore[attr-defined]
    rows = rows_in(tmp_path / "a.csv")
    assert len(rows) == 700 and list(rows[0]) == ["age", "job", "since", "score"]
    assert all(20 <= int(row["age"]) <= 60 for row in rows)
    assert {row["job"] for row in rows} <= {"clerk", "cook", "", "smith"}
    assert {row["score"] for row in rows} <= {"?", "0.5", "1.5", "2.5", "3.5", "4.5"}
    assert all("2020-01-01" <= row["since"] <= "2020-01-28" for row in rows)


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_every_format_holds_the_same_rows(
    table_run: Path, tmp_path: Path, cli: Callable[..., Any], suffix: str
) -> None:
    pandas = pytest.importorskip("pandas")
    for name in (f"a.{suffix}", "a.csv"):
        assert cli("sample", table_run, "--count", 90, "--out", tmp_path / name).code == 0  # type: ignore[attr-defined]
    frame = getattr(pandas, f"read_{suffix}")(tmp_path / f"a.{suffix}")
    written = rows_in(tmp_path / "a.csv")
    assert frame["age"].tolist() == [int(row["age"]) for row in written]
    assert [str(when)[:10] for when in frame["since"]] == [row["since"] for row in written]
    assert frame["job"].isna().tolist() == [row["job"] == "" for row in written]


def test_the_same_seed_gives_the_same_rows_whatever_the_number(table_run: Path) -> None:
    sampler = open_sampler(table_run)
    many = sampler.draw(1500, seed=3)
    for count in (1, 7, 256, 1023, 1025):
        np.testing.assert_array_equal(sampler.draw(count, seed=3), many[:count])
    np.testing.assert_array_equal(open_sampler(table_run).draw(1500, seed=3), many)
    assert not np.array_equal(sampler.draw(1500, seed=4), many, equal_nan=True)


def test_levels_have_their_shares_even_after_a_few_steps(table_run: Path) -> None:
    rows = open_sampler(table_run).draw(8000)
    job = np.nan_to_num(rows[:, 1], nan=3).astype(int)  # clerk, cook, smith, missing: a quarter each
    np.testing.assert_allclose(np.bincount(job) / 8000, 0.25, atol=0.04)
    assert np.isnan(rows[:, 3]).mean() == pytest.approx(28 / 300, abs=0.025)


def test_the_default_output_and_the_preview_are_a_tables_own(
    tmp_path: Path, cli: Callable[..., Any], quick_figures: None
) -> None:
    (tmp_path / "people.csv").write_text(TEXT)
    flags = ("--generator-widths", "8", "--critic-widths", "8", "--batch-size", "16")
    said = cli("train", tmp_path / "people.csv", "--out", tmp_path / "run", "--steps", "3", *flags)
    assert said.code == 0 and "--count 1000 --out rows.csv" in said.out  # type: ignore[attr-defined]
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    assert cli("sample", tmp_path / "run").code == 0  # type: ignore[attr-defined]
    assert len(rows_in(tmp_path / "run" / "samples.csv")) == 64
    assert cli("sample", tmp_path / "run", "--out", tmp_path / "a.png").code == 0  # type: ignore[attr-defined]
    assert cli("resume", tmp_path / "run", "--steps", "5").code == 0  # type: ignore[attr-defined]
    info = json.loads(cli("info", tmp_path / "run", "--json").out)  # type: ignore[attr-defined]
    assert info["steps"] == 5 and info["sliced_w1"] > 0


def test_a_table_with_other_values_is_not_gone_on_with(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "people.csv").write_text(TEXT)
    settings = TrainSettings(
        data=str(tmp_path / "people.csv"), steps=2, previews=False, generator_widths=(8,), critic_widths=(8,)
    )
    train_run(settings, tmp_path / "run")
    (tmp_path / "s.json").write_text('{"columns": {"age": "category"}}')
    (tmp_path / "people.csv").write_text(TEXT.replace("clerk", "baker"))
    with pytest.raises(UserError):
        open_sampler(tmp_path / "none")
    (tmp_path / "people.csv").write_text(TEXT.replace("\n20,", "\n61,"))
    assert "is not the data that the run was trained on" in refused("resume", tmp_path / "run", "--steps", 4)


def test_files_that_a_table_cannot_be_written_to_are_refused(table_run: Path, refused: Callable[..., str]) -> None:
    said = refused("sample", table_run, "--out", "rows.npy")
    assert said.startswith(
        "Rows of a table are written as .csv, .csv.gz, .tsv, .tsv.gz, .parquet, .feather, .arrow or .png"
    )


def test_samples_that_are_no_rows_are_not_written_as_a_table(finished_run: Path, refused: Callable[..., str]) -> None:
    assert refused("sample", finished_run, "--out", "rows.csv").startswith(
        "Samples are written as .npy, .nc, .h5 or .mat, .png or a folder: 'rows.csv'"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n3\n", "is ragged: 1 fields in line 3, 2 in the header"),
        ("a,a\n1,2\n", "has columns of the same name: a"),
        ("a,b\n", "holds no rows"),
        ("a,b\n" + "1,\n" * 30, "Every column of a.csv has one level alone"),
        ("a\n" + "x\n" * 30, "Every column of a.csv has one level alone"),
        (
            "a\n" + "".join(f"{i * i}\n" for i in range(60)) + "oops\n",
            "Column a of a.csv mixes numbers and text: 'oops'",
        ),
    ],
)
def test_malformed_tables_end_in_one_sentence(
    tmp_path: Path, refused: Callable[..., str], text: str, sentence: str
) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert sentence in refused("train", tmp_path / "a.csv", "--out", tmp_path / "run", "--steps", 1)
    assert not (tmp_path / "run").exists()


def recipe_of(count: int, *, channels: int = 0, columns: int = 9, width: int = 40) -> dict[str, Any]:
    return recipe(count, channels=channels, columns=columns, width=width)


def test_tables_have_a_recipe_of_their_own_unless_told_otherwise() -> None:
    own = resolve(TrainSettings(), shape=(40,), train_count=30_000, recipe=recipe_of(30_000))
    assert (own.network, own.constraint, own.penalty_weight, own.batch_size, own.critic_steps) == (
        *("residual", "lp", 10.0, 250, 1),
    )
    assert resolve(TrainSettings(), shape=(40,), train_count=300, recipe=recipe_of(300)).batch_size == 64
    for channels, latent_dim in ((0, 8), (17, 8), (40, 20), (500, 64)):
        settings = resolve(TrainSettings(), shape=(40,), train_count=300, recipe=recipe_of(300, channels=channels))
        assert settings.latent_dim == latent_dim


def test_columns_follow_each_other_where_most_are_categories_and_by_less_where_rows_are_long() -> None:
    assert resolve(TrainSettings(), shape=(40,), train_count=300, recipe=recipe_of(300)).sequence_width == 128
    assert [recipe_of(300, channels=count)["sequence_width"] for count in (4, 5, 9)] == [128, 0, 0]  # of 9 columns
    assert recipe_of(300, width=100_000)["sequence_width"] == 32
    asked = resolve(TrainSettings(sequence_width=0), shape=(40,), train_count=300, recipe=recipe_of(300))
    assert asked.sequence_width == 0
    assert (
        resolve(TrainSettings(preset="wgan"), shape=(40,), train_count=300, recipe=recipe_of(300)).sequence_width == 0
    )


def test_the_latent_vector_of_a_table_grows_with_its_channels() -> None:
    numbers = np.random.default_rng(0).normal(size=(300, 30)).tolist()
    columns = {f"c{number}": [row[number] for row in numbers] for number in range(30)} | {"kind": ["a", "b"] * 150}
    source = open_source(pandas.DataFrame(columns))
    assert resolve_for(TrainSettings(), source).latent_dim == 15  # and none for the category
    assert resolve(TrainSettings(preset="wgan"), shape=(40,), train_count=300, recipe=recipe_of(300)).network == "mlp"
    assert resolve(TrainSettings(), shape=(40,), train_count=30_000).network == "mlp"


def test_a_table_learns_its_shares(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    kind = numbers.choice(["a", "b", "c"], 3000, p=[0.7, 0.25, 0.05])
    value = np.where(kind == "a", numbers.normal(0, 1, 3000), numbers.normal(8, 1, 3000)).round(2)
    (tmp_path / "a.csv").write_text("kind,value\n" + "".join(f"{k},{v}\n" for k, v in zip(kind, value, strict=True)))
    settings = TrainSettings(data=str(tmp_path / "a.csv"), steps=300, previews=False, batch_size=128)
    settings = TrainSettings(**{**settings.__dict__, "generator_widths": (32, 32), "critic_widths": (32, 32)})
    train_run(settings, tmp_path / "run")
    rows = torch.from_numpy(open_sampler(tmp_path / "run").draw(4000))
    shares = torch.bincount(rows[:, 0].long(), minlength=3) / 4000
    assert (shares - torch.tensor([0.7, 0.25, 0.05])).abs().max() < 0.05
    low = rows[:, 1] < 4
    assert ((rows[:, 0] == 0) == low).double().mean() > 0.9  # independent columns: 0.58


@pytest.fixture(scope="module")
def formula_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formulas")
    lines = [f"{['=1+1', '@sum', 'plain'][i % 3]},{i - 20},{'+x' if i % 2 else '-'}" for i in range(60)]
    (folder / "cells.csv").write_text("=note,number,mark\n" + "\n".join(lines) + "\n")
    widths = {"generator_widths": (8,), "critic_widths": (8,), "batch_size": 16}
    train_run(TrainSettings(data=str(folder / "cells.csv"), steps=3, previews=False, **widths), folder / "run")  # type: ignore[arg-type]
    return folder / "run"


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.csv.gz", "-"])
def test_formulas_in_samples_are_said_and_with_safe_csv_made_text(
    formula_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    out = name if name == "-" else str(tmp_path / name)
    argv = ["sample", str(formula_run), "--count", "50", "--out", out]

    def written() -> str:
        shown = capfd.readouterr()
        assert "as a formula does" in shown.err
        if name == "-":
            return shown.out
        raw = Path(out).read_bytes()
        return (gzip.decompress(raw) if name.endswith("gz") else raw).decode()

    assert main(argv) == 0
    plain = written()
    assert main([*argv, "--safe-csv"]) == 0
    safe = written()
    sign = "\t" if name.endswith("tsv") else ","
    before, after = ([line.split(sign) for line in text.splitlines()] for text in (plain, safe))
    assert before[0][0] == "=note" and after[0][0] == "'=note"
    assert {row[0] for row in before[1:]} <= {"=1+1", "@sum", "plain"}
    marked = {"=1+1": "'=1+1", "@sum": "'@sum", "+x": "'+x"}
    assert after[1:] == [[marked.get(cell, cell) for cell in row] for row in before[1:]]


def test_what_safe_csv_wrote_trains_again(formula_run: Path, tmp_path: Path) -> None:
    assert main(["sample", str(formula_run), "--count", "60", "--out", str(tmp_path / "s.csv"), "--safe-csv"]) == 0
    settings = TrainSettings(str(tmp_path / "s.csv"), steps=1, generator_widths=(8,), critic_widths=(8,), batch_size=8)
    assert train_run(settings, tmp_path / "again")["steps"] == 1
