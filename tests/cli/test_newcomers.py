"""What people met who had only the README: calls that end in a hint, lists that fit, refusals that come at once."""

import html
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wassergan.cli.columns import fitting, in_columns
from wassergan.modality.tables import Tables

TABLE = "first,second,level\n" + "".join(f"{i % 9},{i % 9 + i % 4},{'ab'[i % 2]}\n" for i in range(200))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize("argv", [(), ("benchmark",)])
def test_a_call_without_a_verb_shows_all_of_the_help(cli: Callable[..., Any], argv: tuple[str, ...]) -> None:
    said = cli(*argv)
    assert said.code == 2 and said.err == cli(*argv, "--help").out and " characters)" not in said.err


def test_help_is_a_verb_too(cli: Callable[..., Any], refused: Callable[..., str]) -> None:
    assert cli("help") == cli("--help")
    assert cli("help", "train") == cli("train", "--help")
    assert refused("help", "trian").startswith("Unknown verb: 'trian'. Did you mean 'train'?")


def test_commands_that_are_told_can_be_typed_as_they_stand(
    cli: Callable[..., Any], refused: Callable[..., str], points_file: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    run = tmp_path / "a run of 'Zoë' & $HOME"
    said = cli("train", str(points_file), "--steps", "2", "--out", str(run), *tiny)
    line = next(line for line in said.out.splitlines() if line.startswith("Draw:"))
    assert shlex.split(line)[1:4] == ["wassergan", "sample", str(run)]
    again = refused("train", str(points_file), "--steps", "2", "--out", str(run), *tiny)
    assert shlex.split(again.partition("(")[2].partition(")")[0]) == ["wassergan", "resume", str(run)]
    page = html.unescape((run / "report.html").read_text())
    assert f"<code>wassergan evaluate {shlex.quote(str(run))}</code>" in page


def test_wrong_usage_ends_in_where_to_look(refused: Callable[..., str]) -> None:
    assert refused("train") == "Missing argument 'DATA'. See: wassergan train --help"
    assert refused("train", "digits", "--stepz", "4").endswith(" See: wassergan train --help")


def test_the_help_of_training_begins_with_the_run_and_ends_with_the_rest(cli: Callable[..., Any]) -> None:
    out = cli("train", "--help").out
    at = [out.index(f"\n{group}:") for group in ("Run", "Recipe", "Data", "Other")]
    assert at == sorted(at) and "Excel" in out[: at[0]]


def test_the_list_of_runs_needs_no_torch(finished_run: Path) -> None:
    code = (
        "import sys; from wassergan.cli.main import main; "
        f"main(['runs', {str(finished_run.parent)!r}]); sys.exit(sum(m in sys.modules for m in ('torch', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0 and "finished" in done.stdout


def test_a_narrow_terminal_gets_the_columns_that_fit(
    cli: Callable[..., Any], table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cli("info", table).out
    assert "one-hot (2)" in whole and "wider terminal" not in whole
    monkeypatch.setattr("wassergan.cli.info.terminal_width", lambda: 50)
    narrow = cli("info", table).out
    rows = [line for line in narrow.splitlines() if line.startswith(("  first", "  second", "  level"))]
    assert len(rows) == 3 and max(map(len, rows)) <= 50 and "(2)" not in narrow and "wider terminal" in narrow
    assert "2 levels" in narrow


def test_columns_stand_under_each_other() -> None:
    assert in_columns([]) == [] and fitting([], room=4, least=1) == []
    rows = [("a", "1", "x y"), ("bcd", "22", "z")]
    assert in_columns(rows) == ["a    1   x y", "bcd  22  z"]
    assert in_columns(rows, numbers=True)[0] == "a     1  x y"
    assert fitting(rows, room=12, least=1) == [list(row) for row in rows]  # 3 + 2 + 2 + 2 + 3
    assert fitting(rows, room=11, least=1) == [["a", "1"], ["bcd", "22"]]
    assert fitting(rows, room=1, least=2) == [["a", "1"], ["bcd", "22"]]
    assert fitting(rows, room=None, least=1) == [list(row) for row in rows]


def test_the_rules_that_are_proposed_become_a_schema(
    cli: Callable[..., Any], refused: Callable[..., str], table: Path, tmp_path: Path
) -> None:
    schema, former = tmp_path / "schema.json", tmp_path / "former.json"
    said = cli("info", table, "--write-schema", schema)
    assert said.code == 0 and f"train with --schema {schema}" in said.err
    assert json.loads(schema.read_text()) == {"rules": ["first <= second"]}
    assert "is there already" in refused("info", table, "--write-schema", schema)
    assert "no rules to write" in refused("info", table, "--schema", schema, "--write-schema", tmp_path / "new.json")
    former.write_text('{"columns": {"level": "category"}}')
    assert cli("info", table, "--schema", former, "--write-schema", tmp_path / "new.json").code == 0
    assert json.loads((tmp_path / "new.json").read_text()) == json.loads(former.read_text()) | {
        "rules": ["first <= second"]
    }


def test_conditions_that_are_an_array_are_described(
    cli: Callable[..., Any], refused: Callable[..., str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "fine.npy", rng.normal(size=(40, 8, 6)).astype("f4"))
    np.save(tmp_path / "coarse.npy", rng.normal(size=(40, 4, 3)).astype("f4"))
    np.save(tmp_path / "few.npy", rng.normal(size=(30, 4, 3)).astype("f4"))
    found = json.loads(cli("info", tmp_path / "fine.npy", "--condition-array", tmp_path / "coarse.npy", "--json").out)
    assert (found["shape"], found["condition"]) == ([1, 8, 6], [1, 4, 3])
    assert "condition" not in json.loads(cli("info", tmp_path / "fine.npy", "--json").out)
    assert "30" in refused("info", tmp_path / "fine.npy", "--condition-array", tmp_path / "few.npy")


def test_pictures_that_cannot_be_read_are_described_without_them(
    cli: Callable[..., Any], refused: Callable[..., str], tmp_path: Path
) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8)).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "junk.png").write_text("junk")
    message = refused("info", tmp_path)
    assert "junk.png cannot be read: its content is no picture of a known format" in message and "--skip-unr" in message
    assert json.loads(cli("info", tmp_path, "--skip-unreadable", "--size", "8", "--json").out)["shape"] == [1, 8, 8]


@pytest.fixture
def table_run(cli: Callable[..., Any], table: Path, tmp_path: Path) -> Path:
    run = tmp_path / "run"
    tiny = ("--steps", 2, "--network", "mlp", "--generator-widths", 8, "--critic-widths", 8, "--batch-size", 8)
    said = cli("train", table, "--out", run, *tiny)
    assert said.code == 0 and "complete" not in said.out
    return run


def test_a_call_that_cannot_be_done_is_refused_before_a_table_is_calibrated(
    refused: Callable[..., str], table_run: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def calibrate(*args: object, **named: object) -> None:
        raise AssertionError("this takes seconds")

    monkeypatch.setattr(Tables, "calibrate", calibrate)
    assert "trained without conditions" in refused(
        "sample", table_run, "--given", "level=a", "--out", tmp_path / "o.csv"
    )
    assert "choose one of those suffixes" in refused("sample", table_run, "--out", tmp_path / "o.xlsx").lower()
    assert "is a part of a run" in refused("sample", table_run, "--out", table_run / "settings.json")
    assert "trained without --completion" in refused("complete", table_run, table, "--out", tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


def test_a_run_that_completes_rows_says_how(cli: Callable[..., Any], table: Path, tmp_path: Path) -> None:
    tiny = ("--steps", 1, "--generator-widths", 8, "--critic-widths", 8, "--batch-size", 8)
    said = cli("train", table, "--out", tmp_path / "run", "--completion", *tiny)
    assert f"Fill:    wassergan complete {tmp_path / 'run'} gaps.csv --out filled.csv" in said.out
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(Tables, "calibrate", lambda *args, **named: pytest.fail("this takes seconds"))
    with monkeypatch.context():
        assert f"There is no {tmp_path / 'none.csv'}" in cli("complete", tmp_path / "run", tmp_path / "none.csv").err
    monkeypatch.undo()


def test_a_run_at_its_end_says_what_budgets_count_from(refused: Callable[..., str], table_run: Path) -> None:
    message = refused("resume", table_run, "--budget", "0.0001s")
    assert "--steps and --budget count from its start. For that much more: wassergan resume" in message


def test_a_terminal_is_told_why_nothing_is_drawn_yet(
    cli: Callable[..., Any], table_run: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tables, "calibrate", lambda *args, **named: None)
    words = "which takes some seconds"
    assert words not in cli("sample", table_run, "--count", 3, "--out", tmp_path / "a.csv").err
    monkeypatch.setattr("wassergan.cli.sample._on_terminal", lambda: True)
    assert cli("sample", table_run, "--count", 3, "--out", tmp_path / "a.csv").err.count(words) == 1
    assert words not in cli("sample", finished_run, "--count", 3, "--out", tmp_path / "a.npy").err


def test_a_run_whose_time_was_too_short_says_how_to_go_on(
    cli: Callable[..., Any], points_file: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = ("--generator-widths", 8, "--critic-widths", 8, "--batch-size", 8)
    said = cli("train", points_file, "--budget", "0.1s", "--out", tmp_path / "a", *tiny)
    assert f"hardly a start. Go on with: wassergan resume {tmp_path / 'a'} --budget 1m" in said.out
    monkeypatch.setattr("wassergan.cli.train.FEW_STEPS", 1)
    assert "hardly a start" not in cli("train", points_file, "--budget", "0.1s", "--out", tmp_path / "b", *tiny).out
    monkeypatch.setattr("wassergan.cli.train.FEW_STEPS", 200)
    assert "hardly a start" not in cli("train", points_file, "--steps", 2, "--out", tmp_path / "c", *tiny).out
