from collections.abc import Callable
from pathlib import Path

import pytest

from wassergan.callbacks import ProgressBar
from wassergan.config.settings import TrainSettings
from wassergan.storage.run_folder import RunFolder
from wassergan.training import Trainer


@pytest.mark.parametrize(("end", "shown"), [({"steps": 10}, "5/10"), ({"budget": 60.0}, "30/60")])
def test_the_bar_shows_how_far_it_is_since_it_was_opened(
    capfd: pytest.CaptureFixture[str], make_trainer: Callable[..., Trainer], end: dict[str, float], shown: str
) -> None:
    trainer, bar = make_trainer(), ProgressBar()
    bar.on_message("Before.")
    trainer.step, trainer.elapsed_seconds = 7, 100.0
    bar.on_train_begin(TrainSettings(**end), trainer.source, RunFolder(Path("r")), trainer)  # type: ignore[arg-type]
    trainer.step, trainer.elapsed_seconds = 12, 130.0
    bar.on_step_end(trainer)
    bar.on_tick({"step": 12, "sliced_w1": 0.5, "sliced_w1_floor": 0.25})
    bar.on_message("Between.")
    trainer.step, trainer.elapsed_seconds = 99, 999.0  # later than promised
    bar.on_step_end(trainer)
    bar.on_close()
    bar.on_close()
    out, err = capfd.readouterr()
    assert out == "" and "Before.\n" in err and "Between.\n" in err and "100%" in err
    assert shown in err and "sliced W1 0.5000 (floor 0.2500)" in err


def test_a_bar_that_was_never_opened_can_be_closed() -> None:
    ProgressBar().on_close()


def test_a_bar_of_time_has_no_rate_and_is_full_at_the_end(
    capfd: pytest.CaptureFixture[str], make_trainer: Callable[..., Trainer]
) -> None:
    trainer = make_trainer()
    for seconds, full in ((11.3, True), (5.0, False)):
        bar = ProgressBar()
        trainer.elapsed_seconds = 0.0
        bar.on_train_begin(TrainSettings(budget=12.0), trainer.source, RunFolder(Path("r")), trainer)  # type: ignore[arg-type]
        trainer.elapsed_seconds = seconds
        bar.on_step_end(trainer)
        bar.on_close()
        err = capfd.readouterr().err
        assert ("12/12 s" in err) == full and "s/s" not in err
