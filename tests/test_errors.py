import pytest

from wassergan.errors import UserError, WorkError, unknown_name


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
