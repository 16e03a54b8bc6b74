"""Every public function that takes a path takes text as well, and refuses all else in a sentence."""

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wassergan
from wassergan import TrainSettings, UserError, WassersteinGAN
from wassergan.config.verbs import EvaluateSettings

NAMED = {"folder", "path"}


def functions_of_paths() -> list[str]:
    return [
        name
        for name in wassergan.__all__
        if callable(getattr(wassergan, name)) and not isinstance(getattr(wassergan, name), type)
        if NAMED & set(signature(getattr(wassergan, name)).parameters)
    ]


def test_these_functions_take_paths() -> None:
    expected = {"train_run", "resume_run", "run_summary", "open_sampler", "export_run", "open_export"}
    assert set(functions_of_paths()) == expected  # a new one belongs into the test below


def test_text_is_a_path(tmp_path: Path) -> None:
    data, run, weights = str(tmp_path / "x.npy"), str(tmp_path / "run"), str(tmp_path / "g.safetensors")
    np.save(data, np.random.default_rng(0).normal(size=(200, 3)).astype("float32"))
    tiny: dict[str, Any] = {"generator_widths": (8,), "critic_widths": (8,), "batch_size": 8, "threads": 1}
    assert wassergan.train_run(TrainSettings(data=data, steps=2, tensorboard=False, **tiny), run)["steps"] == 2
    assert wassergan.resume_run(run, {"steps": 3})["steps"] == 3
    assert wassergan.run_summary(run)["steps"] == 3
    drawn = wassergan.open_sampler(run).draw(4, seed=0)
    assert wassergan.export_run(run, weights) == 3
    assert np.array_equal(wassergan.open_export(weights).draw(4, seed=0), drawn)
    assert wassergan.evaluate_run(EvaluateSettings(run=run, count=20))["metrics"]
    gan = WassersteinGAN(steps=2, generator_widths=(8,), critic_widths=(8,), folder=run + "-fit").fit(np.load(data))
    gan.save(str(tmp_path / "gan.pt"))
    assert len(WassersteinGAN.load(str(tmp_path / "gan.pt")).sample(2)) == 2


@pytest.mark.parametrize("wrong", [3, None, b"run", ["run"]])
@pytest.mark.parametrize("name", functions_of_paths())
def test_what_is_no_path_is_refused_in_a_sentence(name: str, wrong: Any) -> None:
    function = getattr(wassergan, name)
    given: dict[str, Any] = {
        each.name: wrong if each.name in NAMED else {} if each.name == "changes" else TrainSettings(data="digits")
        for each in signature(function).parameters.values()
        if each.default is each.empty
    }
    with pytest.raises(UserError, match=r"^A path is text or a pathlib.Path: (int|NoneType|bytes|list)\.$"):
        function(**given)
