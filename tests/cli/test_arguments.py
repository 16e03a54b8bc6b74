"""Whatever stands on the command line ends in one sentence."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from wassergan.cli.main import VERBS, cli

DIGITS = "9" * 5000
HOSTILE = (DIGITS, f"-{DIGITS}", "nan", "-inf", "1e400", "", "\udcff5", "2," * 1500 + "x", "a\x1b[31m", "\0")


def options() -> list[tuple[str, str, click.Option]]:
    """Every flag that takes a value, with its verb."""
    found = []
    for verb in VERBS:
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None
        for name, each in getattr(command, "commands", {verb: command}).items():
            words = verb if name == verb else f"{verb} {name}"
            found += [(words, p.opts[0], p) for p in each.params if isinstance(p, click.Option) and not p.is_flag]
    return found


NUMERIC = [
    (words, flag)
    for words, flag, option in options()
    if getattr(getattr(option.type, "_parse", str), "__name__", "str") not in ("str", "parse_names")
    or isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
]
ARGUMENTS = {"compare": 2, "complete": 2, "distance": 2, "watch": 2, "benchmark": 0, "env": 0, "demo lines": 0}


def test_every_verb_has_flags_of_numbers_or_none() -> None:
    assert len(NUMERIC) > 50 and {"train", "sample", "distance", "demo lines"} <= {words for words, _ in NUMERIC}


@pytest.mark.parametrize(("words", "flag"), NUMERIC)
def test_a_number_that_is_none_is_one_sentence(
    refused: Callable[..., str],
    points_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    flag: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [str(points_file)] * ARGUMENTS.get(words, 1)
    for value in HOSTILE:
        message = refused(*words.split(), *arguments, flag, value)
        assert len(message) < 1500 and message.isprintable()
        # The flag itself is what was refused, and not the data.
        assert flag in message or flag[2:].replace("-", "_") in message or "null character" in message, message
    assert not os.listdir(tmp_path)  # noqa: PTH208


@pytest.mark.parametrize("verb", ["resume", "sample", "evaluate", "visualize", "export"])
@pytest.mark.parametrize("name", [DIGITS, "٣", "", "../checkpoints/latest", "step-000000005", ".", "a" * 300, "9" * 25])
def test_a_checkpoint_is_named_by_step_or_by_its_two_names(
    refused: Callable[..., str], finished_run: Path, tmp_path: Path, verb: str, name: str
) -> None:
    out = () if verb in ("resume", "evaluate") else ("--out", tmp_path / ("out" if verb == "visualize" else "out.npy"))
    if verb == "export":
        out = ("--out", tmp_path / "out.onnx")
    message = refused(verb, finished_run, "--checkpoint", name, *out)
    assert message.startswith("There is no checkpoint") and len(message) < 1500
    assert not os.listdir(tmp_path)  # noqa: PTH208


@pytest.mark.parametrize(
    "flags", [("--pack", 2**63 - 1), ("--critic-steps", 10**11), ("--critic-steps", 2**63 - 1), ("--pack", 9)]
)
def test_sizes_that_no_step_can_take_are_refused_and_leave_no_run(
    refused: Callable[..., str], points_file: Path, tmp_path: Path, tiny: tuple[str, ...], flags: tuple[object, ...]
) -> None:
    usual = [*tiny]
    if flags[0] == "--critic-steps":
        place = usual.index("--critic-steps")
        del usual[place : place + 2]
    message = refused("train", points_file, "--out", tmp_path / "run", "--steps", "2", *usual, *flags)
    assert "do not fit in memory" in message or "cannot be cut into packs" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("count", [2**63 - 1, 2**62, 10**14])
def test_more_samples_than_can_be_counted_in_bytes_are_refused(
    cli: Callable[..., Any], finished_run: Path, tmp_path: Path, count: int
) -> None:
    done = cli("sample", finished_run, "--count", count, "--out", tmp_path / "a.npy")
    assert done.code == 1 and "No room for the samples" in done.err and "Traceback" not in done.err
    assert cli("visualize", finished_run, "--count", count, "--out", tmp_path / "figures").code == 2
    assert not os.listdir(tmp_path)  # noqa: PTH208


def test_a_seed_of_63_bits_judges(cli: Callable[..., Any], finished_run: Path, tmp_path: Path) -> None:
    done = cli("evaluate", finished_run, "--count", 100, "--seed", 2**63 - 1, "--out", tmp_path / "judged")
    assert done.code == 0, done.err


@pytest.mark.parametrize(("rank", "count", "code"), [("1", "2", 0), ("0", "2", 2), ("1", "1", 2)])
def test_verbs_that_are_not_shared_are_done_by_the_first_alone(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rank: str, count: str, code: int
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", count)
    done = cli("compare", tmp_path / "nowhere")
    assert done.code == code and bool(done.err) == bool(code)
