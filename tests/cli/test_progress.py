import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wassergan.cli.progress import TerminalProgress
from wassergan.config.settings import TrainSettings
from wassergan.storage.run_folder import RunFolder
from wassergan.training import Trainer

RECORD = {
    "step": 7,
    "elapsed_seconds": 1.5,
    "critic_gap": 0.25,
    "critic_gap_heldout": 0.125,
    "gradient_norm_mean": 1.0,
    "sliced_w1": 0.5,
    "sliced_w1_floor": 0.25,
    "steps_per_second": 10.0,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("end", "unit"), [({"steps": 10}, "step"), ({"budget": 60.0}, "s")])
def test_on_a_terminal_a_bar_shows_how_far_it_is_and_the_values(
    monkeypatch: pytest.MonkeyPatch, make_trainer: Callable[..., Trainer], end: dict[str, float], unit: str
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    trainer, callback = make_trainer(), TerminalProgress()
    settings = TrainSettings(data="x", network="mlp", constraint="lp", critic_steps=2, batch_size=8, **end)  # type: ignore[arg-type]
    callback.on_train_begin(settings, trainer.source, RunFolder(Path("r")), trainer)  # type: ignore[arg-type]
    trainer.step, trainer.elapsed_seconds = 5, 30.0
    callback.on_step_end(trainer)
    callback.on_tick(RECORD)
    callback.on_message("Something happened.")
    callback.on_close()
    callback.on_close()
    shown = screen.getvalue()
    assert "50%" in shown and f" {unit}" in shown and "Something happened." in shown
    assert "error 2 x that of real data" in shown and "gap" not in shown


def test_the_gap_is_shown_above_the_bar_to_those_who_ask(
    monkeypatch: pytest.MonkeyPatch, make_trainer: Callable[..., Trainer]
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    trainer, callback = make_trainer(), TerminalProgress(verbose=True)
    settings = TrainSettings(data="x", network="mlp", constraint="lp", critic_steps=2, batch_size=8, steps=10)
    callback.on_train_begin(settings, trainer.source, RunFolder(Path("r")), trainer)  # type: ignore[arg-type]
    callback.on_tick(RECORD)
    callback.on_close()
    assert "gap 0.250 (held-out 0.125)" in screen.getvalue() and "error 2 x" in screen.getvalue()


def test_pictures_are_told_by_their_patches(
    monkeypatch: pytest.MonkeyPatch, make_trainer: Callable[..., Trainer]
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    trainer, callback = make_trainer(), TerminalProgress()
    settings = TrainSettings(data="x", network="mlp", constraint="lp", critic_steps=2, batch_size=8, steps=10)
    callback.on_train_begin(settings, trainer.source, RunFolder(Path("r")), trainer)  # type: ignore[arg-type]
    distances = {"patch_sliced_w1": 0.9, "patch_sliced_w1_floor": 0.3, "patch_sliced_w1_8": 0.9}
    callback.on_tick({name: each for name, each in RECORD.items() if "sliced" not in name} | distances)
    callback.on_close()
    assert "error 3 x that of real data" in screen.getvalue()


# The longest values that a tick may hold, late in a long run.
@pytest.mark.parametrize("end", [{"steps": 10_000_000}, {"budget": 864_000.0}])
def test_at_100_columns_the_bar_keeps_20_characters(
    monkeypatch: pytest.MonkeyPatch, make_trainer: Callable[..., Trainer], end: dict[str, float]
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    trainer, callback = make_trainer(), TerminalProgress()
    settings = TrainSettings(data="x", network="mlp", constraint="lp", critic_steps=2, batch_size=8, **end)  # type: ignore[arg-type]
    callback.on_train_begin(settings, trainer.source, RunFolder(Path("r")), trainer)  # type: ignore[arg-type]
    callback._bar.ncols = 100
    trainer.step, trainer.elapsed_seconds = 1_000_000, 86_400.0
    callback.on_step_end(trainer)
    for sliced_w1 in (1e-9, 0.123456, 12_345.6, 1e30):
        callback.on_tick(RECORD | {"sliced_w1": sliced_w1})
        line = str(callback._bar)
        assert len(line) <= 100 and len(line.split("|")[1]) >= 20, line
    callback.on_close()


def test_elsewhere_one_line_per_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    TerminalProgress().on_tick(RECORD)
    assert screen.getvalue().count("\n") == 1 and "step       7" in screen.getvalue()


def test_a_likelihood_is_told_and_a_critic_that_rested_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stream := io.StringIO())
    alone = {name: each for name, each in RECORD.items() if name != "critic_gap"} | {"negative_log_likelihood": 18.3456}
    TerminalProgress().on_tick(alone)
    assert "negative log-likelihood 18.346  " in stream.getvalue()
    assert "gap" not in stream.getvalue() and "gradient norm" not in stream.getvalue()
    TerminalProgress().on_tick(RECORD | {"negative_log_likelihood": 18.3456})
    both = stream.getvalue().splitlines()[-1]
    assert "negative log-likelihood 18.346  gap " in both and "gradient norm" in both
    TerminalProgress().on_tick(alone | {"negative_log_likelihood_heldout": 18.5001})
    assert "negative log-likelihood 18.346 (held-out 18.500)  " in stream.getvalue().splitlines()[-1]


def test_a_signal_is_answered_at_once_and_once_and_a_finished_bar_is_full(
    monkeypatch: pytest.MonkeyPatch, make_trainer: Callable[..., Trainer]
) -> None:
    asked, trainer = False, make_trainer()
    settings = TrainSettings(data="x", network="mlp", constraint="lp", critic_steps=2, batch_size=8, budget=20.0)

    def shown(*, stop: bool) -> str:
        nonlocal asked
        asked = False
        monkeypatch.setattr(sys, "stderr", Terminal())
        callback = TerminalProgress(interrupted=lambda: asked)
        callback.on_train_begin(settings, trainer.source, RunFolder(Path("r")), trainer)  # type: ignore[arg-type]
        trainer.elapsed_seconds = 19.2
        callback.on_step_end(trainer)
        asked = stop
        callback.on_step_end(trainer)
        callback.on_step_end(trainer)
        callback.on_close()
        screen = sys.stderr
        assert isinstance(screen, Terminal)
        return screen.getvalue()

    trainer.elapsed_seconds = 0.0
    stopped = shown(stop=True)
    assert stopped.count("Stopping: ") == 1 and "20/20" not in stopped
    trainer.elapsed_seconds = 0.0
    done = shown(stop=False)
    assert "Stopping" not in done and "20/20" in done
