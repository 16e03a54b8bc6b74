from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from wassergan.cli.main import main
from wassergan.data.open import open_source
from wassergan.errors import UserError, WorkError, parameter, unknown_name, written_as_flags


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UserError("It failed"), "It failed."),
        (UserError("It failed."), "It failed."),
        (UserError("It failed", found="3 of 4"), "It failed: 3 of 4."),
        (UserError("It failed", found="a, b ...", hint="try again."), "It failed: a, b ... Try again."),
        (WorkError("It failed", hint="try again"), "It failed. Try again."),
        (unknown_name("verb", "xyzzy", ["train", "info"]), "Unknown verb: 'xyzzy'. Known: train, info."),
    ],
)
def test_messages_are_sentences_with_what_was_found_and_how_to_mend_it(error: Exception, text: str) -> None:
    assert str(error) == text


def test_wrong_input_is_a_value_error_and_failed_work_a_runtime_error() -> None:
    assert issubclass(UserError, ValueError) and issubclass(WorkError, RuntimeError)


def test_notebooks_show_one_sentence_and_the_whole_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def raised() -> UserError:
        try:
            raise UserError("It failed", found="3 of 4", hint="try again")
        except UserError as error:
            return error

    assert raised()._render_traceback_() == ["UserError: It failed: 3 of 4. Try again."]
    monkeypatch.setenv("WASSERGAN_TRACEBACK", "1")
    whole = "".join(raised()._render_traceback_())
    assert whole.startswith("Traceback") and "in raised" in whole and whole.endswith("Try again.\n")


@pytest.mark.parametrize(
    ("name", "value", "text", "keyword", "flag"),
    [
        ("batch_size", None, None, "`batch_size`", "--batch-size"),
        ("network", "mlp", None, 'network="mlp"', "--network mlp"),
        ("sheet", 'a "b"', None, "sheet='a \"b\"'", '--sheet a "b"'),
        ("critic_lr", 1e-5, "1e-05", "critic_lr=1e-05", "--critic-lr 1e-05"),
        ("skip_unreadable", True, None, "skip_unreadable=True", "--skip-unreadable"),
        ("tensorboard", False, None, "tensorboard=False", "--no-tensorboard"),
        ("missing", (-9999,), "-9999", "missing=(-9999,)", "--missing -9999"),
        ("condition", ("a", "b"), "a b", 'condition=("a", "b")', "--condition a b"),
    ],
)
def test_a_parameter_is_a_keyword_in_python_and_a_flag_while_the_command_line_runs(
    name: str, value: object, text: str | None, keyword: str, flag: str
) -> None:
    with written_as_flags():
        assert parameter(name, value, text=text) == flag
        with ThreadPoolExecutor(1) as threads:  # files are read in threads
            assert threads.submit(parameter, name, value, text=text).result() == flag
    assert parameter(name, value, text=text) == keyword


def test_one_mistake_is_answered_in_the_words_of_whoever_made_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.random.default_rng(0).normal(size=(40, 9, 9, 9)))
    for _ in range(2):  # the command line leaves Python's words behind it
        with pytest.raises(UserError, match="Say `layout` NHWC or NCHW or NDHW"):
            open_source(file)
        assert main(["info", str(file)]) == 2
        assert "Say --layout NHWC or NCHW or NDHW" in capsys.readouterr().err
