"""Whatever stands on the command line ends in one sentence."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from wassergan.cli.main import VERBS, main

DIGITS = "9" * 5000
HOSTILE = (DIGITS, f"-{DIGITS}", "nan", "-inf", "1e400", "", "\udcff5", "2," * 1500 + "x", "a\x1b[31m", "\0")


def options() -> list[tuple[str, str, click.Option]]:
    """Every flag that takes a value, with its verb."""
    found = []
    for verb, (module, _) in VERBS.items():
        command = getattr(import_module(module), verb)
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
ARGUMENTS = {"compare": 2, "distance": 2, "benchmark": 0, "env": 0, "demo lines": 0}


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
