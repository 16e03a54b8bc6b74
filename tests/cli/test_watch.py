"""`wassergan watch`: what it prints, its exit codes, its state and its page."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wassergan.cli.main import main
from wassergan.storage.lock import held

sys.path.insert(0, str(Path(__file__).parents[1]))
import forked

QUICK = ["--permutations", "99", "--rows", "40", "--alpha", "0.05"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for name, older, rows in (("reference", 0, 200), ("same", 0, 60), ("also", 0, 60), ("older", 30, 60)):
        ages, cities = rng.normal(40 + older, 9, rows), rng.choice(["u", "v"], rows)
        lines = [f"{age:.1f},{city}" for age, city in zip(ages, cities, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["age,city", *lines]), encoding="utf-8")
    return tmp_path


def test_one_batch_ends_in_3_on_alarm(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = str(files / "reference.csv")
    assert main(["watch", reference, str(files / "same.csv"), *QUICK]) == 0
    assert "same.csv: no change seen, p 0." in capsys.readouterr().out
    assert main(["watch", reference, str(files / "older.csv"), *QUICK]) == 3
    out = capsys.readouterr().out
    assert "older.csv: changed, p 0.01" in out and "age: up, W1 " in out and "Rows that moved farthest" in out
    assert main(["watch", reference, str(files / "older.csv"), *QUICK, "--alarm", "stream"]) == 0  # one is not enough


@pytest.mark.parametrize(("alarm", "code"), [("any", 3), ("batch", 3), ("stream", 0)])
@pytest.mark.parametrize("names", [("same", "older", "also"), ("older",), ("older", "same")])
def test_one_batch_among_several_that_differs_is_an_alarm(
    files: Path, names: tuple[str, ...], alarm: str, code: int
) -> None:
    """Unless only the stream counts, for which one batch is not enough."""
    argv = ["watch", str(files / "reference.csv"), *[str(files / f"{name}.csv") for name in names], *QUICK]
    page = files / "page.html"
    assert main([*argv, "--alarm", alarm, "--page", str(page)]) == code
    text = page.read_text(encoding="utf-8")
    assert ("Batches that differ" in text) == (names[-1] != "older") and 'class="verdict good"' not in text
    if alarm == "any":
        assert main(argv) == code


def test_an_alarm_of_the_stream_counts_without_one_of_a_batch(files: Path) -> None:
    state, argv = files / "state", ["watch", str(files / "reference.csv")]
    flags = [*QUICK, "--permutations", "999", "--state", str(state)]
    main([*argv, *[str(files / "older.csv")] * 3, *flags])
    codes = [main([*argv, str(files / "same.csv"), *flags, "--alarm", alarm]) for alarm in ("any", "batch", "stream")]
    assert codes == [3, 0, 3]


def test_a_stream_goes_on_in_its_state(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, page = files / "state", files / "page.html"
    call = ["watch", str(files / "reference.csv"), *QUICK, "--state", str(state), "--json"]
    call += ["--permutations", "999"]
    codes = [main([*call, str(files / f"{name}.csv")]) for name in ("same", "also", "older", "older")]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["number"] for each in lines] == [1, 2, 3, 4] and lines[2]["alarm"] and not lines[0]["alarm"]
    # The second batch has the distribution of the reference, and by chance a p-value below 0.05.
    assert codes == [3 if each["alarm"] or each["evidence"]["alarm_at"] else 0 for each in lines]
    assert codes[0] == 0 and codes[2:] == [3, 3] and lines[-1]["evidence"]["alarm_at"] in (3, 4)
    assert lines[-1]["evidence"]["changed_since"] == (2 if lines[1]["alarm"] else 3)
    assert main([*call, str(files / "same.csv"), "--page", str(page)]) == 3  # an alarm of the stream stays
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 3 and text.count("older.csv") >= 2 and "age" in text and "://" not in text
    assert sorted(each.name for each in state.iterdir()) == ["state.pt"]


def test_the_state_is_locked_and_belongs_to_its_settings(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["watch", str(files / "reference.csv"), str(files / "same.csv"), *QUICK, "--state", str(files / "state")]
    assert main(call) == 0
    with held(files / "state"):
        assert main(call) == 2
    assert main([*call, "--alpha", "0.01"]) == 2
    assert main([*call, "--columns", "age"]) == 2
    errors = capsys.readouterr().err
    assert "another alpha" in errors and "another reference" in errors


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_kill_loses_nothing_of_the_state(files: Path) -> None:
    """Killed at ten moments: the state can be read, and holds every batch that was printed."""
    call = ["wassergan", "watch", str(files / "reference.csv"), "--state", str(files / "state")]
    call += [*QUICK, "--json", *[str(files / "same.csv")] * 200]
    printed = 0
    for moment in range(4):
        with forked.start(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                number = json.loads(line)["number"]
                assert number in (printed + 1, printed + 2)  # saved before it is printed
                printed = number
                if number % 3 == moment % 3:
                    break
            process.send_signal(signal.SIGKILL)
    assert printed >= 4


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--alarm", "never"], "Unknown alarm: 'never'"),
        (["--alpha", "2"], "alpha must lie between 0 and 1"),
        (["--permutations", "0"], "permutations must be"),
        (["--columns", "wage"], "Unknown column of reference.csv: 'wage'"),
        (["--page", "."], "no regular file"),
    ],
)
def test_what_cannot_be_done_is_refused(
    flags: list[str], words: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(files / "reference.csv"), str(files / "same.csv"), *QUICK, *flags]) == 2
    assert words in capsys.readouterr().err


def test_files_are_compared_by_column_piece_by_piece(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(3)
    for name, shift in (("a", 0.0), ("b", 0.0), ("c", 1.0)):
        np.save(files / f"{name}.npy", rng.normal(size=(300, 2)) + [0.0, shift])
    a, b, c = (str(files / f"{name}.npy") for name in "abc")
    assert main(["watch", a, b, "--by-column"]) == 0
    assert "b.npy: no change of a column seen (300 rows against 300" in capsys.readouterr().out
    assert main(["watch", a, b, c, b, "--by-column", "--permutations", "99"]) == 3
    out = capsys.readouterr().out
    assert "c.npy: columns changed" in out and "1: up, W1 " in out and "; W1 in [" in out
    assert main(["watch", a, c, "--by-column", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["alarm"] and found["columns"][0]["drift"]["name"] == "1" and found["columns"][0]["w1_lower"] > 0.5
    assert main(["watch", a, c, "--by-column", "--columns", "0"]) == 0
    for flags, words in ((["--state", "s"], "leave --state out"), (["--alarm", "stream"], "leave --alarm out")):
        assert main(["watch", a, c, "--by-column", *flags]) == 2
        assert words in capsys.readouterr().err


def test_names_on_the_page_are_escaped(files: Path) -> None:
    text = (files / "same.csv").read_text(encoding="utf-8").replace("age", "<b>age</b>")
    for name in ("one", "<i>two"):
        (files / f"{name}.csv").write_text(text, encoding="utf-8")
    page = files / "page.html"
    argv = [str(files / "one.csv"), str(files / "<i>two.csv"), *QUICK, "--page", str(page)]
    assert main(["watch", *argv]) == 0
    assert "<b>age" not in page.read_text(encoding="utf-8") and "<i>two" not in page.read_text(encoding="utf-8")


def test_a_page_without_a_folder_is_refused_before_the_work(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = files / "none" / "page.html"
    call = ["watch", str(files / "reference.csv"), str(files / "same.csv"), *QUICK, "--state", str(files / "state")]
    assert main([*call, "--page", str(page)]) == 2
    assert "There is no folder for the page" in capsys.readouterr().err
    assert not (files / "state").exists()
