from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wassergan import UserError, WorkError, __version__
from wassergan.cli import main as module
from wassergan.cli.main import VERBS, main


def test_help_lists_every_verb_and_the_exit_codes(cli: Callable[..., Any]) -> None:
    for argv in (["--help"], ["-h"]):
        said = cli(*argv)
        assert said.code == 0 and all(verb in said.out for verb in VERBS) and "Exit codes: 0 done" in said.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(cli: Callable[..., Any], verb: str) -> None:
    said = cli(verb, "--help")
    assert said.code == 0 and f"wassergan {verb}" in said.out
    assert "Example" in said.out or "Commands:" in said.out  # a family of verbs lists them


def test_the_version_is_told(cli: Callable[..., Any]) -> None:
    assert __version__ in cli("--version").out


def test_an_unknown_verb_names_the_nearest(refused: Callable[..., str]) -> None:
    assert refused("trian", "digits").startswith("Unknown verb: 'trian'. Did you mean 'train'? Known: train, resume")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train"], "Missing argument 'DATA'"),
        (["train", "digits", "--nothing-like-it", "4"], "--nothing-like-it"),
        (["train", "digits", "--steps"], "requires an argument"),
        (["sample", "x", "y"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_sentence(refused: Callable[..., str], argv: list[str], message: str) -> None:
    assert message in refused(*argv)


def test_an_unknown_flag_names_the_nearest(refused: Callable[..., str]) -> None:
    message = refused("train", "digits", "--critic-step", "4")
    assert "--critic-step" in message and "--critic-steps" in message


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("It is wrong", hint="mend it"), 2, "wassergan: It is wrong. Mend it.\n"),
        (WorkError("It failed"), 1, "wassergan: It failed.\n"),
        (OSError(28, "No space left on device"), 1, "wassergan: No space left on device.\n"),
        (NotADirectoryError(20, "Not a directory", "a/b"), 1, "wassergan: Not a directory: a/b.\n"),
        (KeyboardInterrupt(), 130, "wassergan: Interrupted.\n"),
    ],
)
def test_errors_become_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    def fail(**options: object) -> None:
        raise error

    monkeypatch.setattr(module.cli, "main", fail)
    assert main(["train", "digits"]) == code
    assert capsys.readouterr().err == message


def test_an_error_of_our_own_is_not_dressed_as_the_user_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module.cli, "main", fail)
    with pytest.raises(ZeroDivisionError):
        main(["train", "digits"])


def test_without_arguments_the_process_s_own_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["wassergan", "--version"])
    assert main() == 0
    assert __version__ in capsys.readouterr().out


def test_python_dash_m_answers() -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "wassergan", "trian"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2 and "Did you mean 'train'?" in done.stderr


def test_a_path_through_a_file_is_one_sentence(cli: Callable[..., Any], tmp_path: Path, points_file: Path) -> None:
    (tmp_path / "file").write_text("")
    said = cli("train", points_file, "--out", tmp_path / "file" / "run", "--steps", "1", "--batch-size", "8")
    assert said.code in (1, 2) and said.err.splitlines()[-1].startswith("wassergan: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_verb_under_its_former_name_still_answers_with_a_word(cli: Callable[..., Any]) -> None:
    said = cli("look", "--help")
    assert said.code == 0 and "Usage: wassergan visualize" in said.out
    assert said.err == "`wassergan look` is now called `wassergan visualize`.\n"
