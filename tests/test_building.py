from dataclasses import replace

import numpy as np
import pytest
import torch

from wassergan import building
from wassergan.building import build_trainer, choose_device
from wassergan.data import open_source
from wassergan.errors import UserError
from wassergan.presets import resolve
from wassergan.settings import TrainSettings
from wassergan.training import Trainer


def built(**given: object) -> Trainer:
    source = open_source(np.random.default_rng(0).normal(size=(60, 2)))
    settings = TrainSettings(generator_widths=(8,), critic_widths=(8,), batch_size=8, **given)  # type: ignore[arg-type]
    return build_trainer(resolve(settings, shape=source.shape, train_count=source.train_count), source)


def test_devices_are_chosen_by_name() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "meta", "mps", "cuda:x"):
        with pytest.raises(UserError, match=f"Unknown device: '{name}'. Use auto, cpu, cuda or cuda:N"):
            choose_device(name)
    with pytest.raises(UserError, match=r"There is no device cuda:99: \d+ CUDA devices\. Use cpu"):
        choose_device("cuda:99")


def test_threads_follow_the_setting_then_the_environment_then_the_size_of_the_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    built(threads=3)
    assert chosen == [3]
    built()
    assert chosen == [3]
    monkeypatch.delenv("OMP_NUM_THREADS")
    built()
    assert chosen == [3, 1]
    monkeypatch.setattr(building, "ONE_THREAD_WEIGHTS", 10)
    built()
    assert chosen == [3, 1, building.ALL_THREADS]


def test_the_trainer_is_what_the_settings_say() -> None:
    trainer = built(
        constraint="gp", penalty_weight=3.0, critic_steps=4, latent_dim=5, optimizer="rmsprop", critic_rate=0.25
    )
    assert (trainer.constraint.name, trainer.constraint.weight) == ("gp", 3.0)  # type: ignore[attr-defined]
    assert (trainer.critic_steps, trainer.batch_size, trainer.latent_dim) == (4, 8, 5)
    assert isinstance(trainer._critic_optimizer, torch.optim.RMSprop)
    assert trainer._critic_optimizer.defaults["lr"] == 0.25


def test_settings_with_a_hole_are_a_mistake_of_ours() -> None:
    source = open_source(np.random.default_rng(0).normal(size=(60, 2)))
    with pytest.raises(AssertionError, match="no holes"):
        build_trainer(replace(TrainSettings(), network=None), source)
