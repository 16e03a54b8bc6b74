"""Volumes trained by two processes as by one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.modality.recipes import resolve_for
from wassergan.session.build import build_trainer
from wassergan.training import DistributedContext


def test_two_processes_at_half_the_batch_are_one_at_the_whole(spawn: Callable[..., list[Any]]) -> None:
    rock = (np.random.default_rng(0).random((14, 13, 12)) < 0.3).astype("u1")

    def train(processes: DistributedContext) -> dict[str, Any]:
        source = open_source(rock, crop=(8, 7, 5))
        settings = TrainSettings(batch_size=8, maps=2, generator_maps=2, steps=3, precision="float32", threads=1)
        trainer = build_trainer(resolve_for(settings, source), source, processes)
        trainer.train(steps=3, tick_due=lambda step: False)
        networks = (trainer.generator, trainer.critic, trainer.averaged_generator)
        return {
            f"{index}.{name}": value.numpy().copy()
            for index, network in enumerate(networks)
            for name, value in network.state_dict().items()
        }

    alone = train(DistributedContext())
    assert any("running_mean" in name for name in alone)  # batch normalisation over three axes
    first, second = spawn(train)
    for name, value in alone.items():
        np.testing.assert_allclose(first[name], value, rtol=0, atol=1e-4, err_msg=name)
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
