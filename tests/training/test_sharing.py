"""What a trainer is handed and does not train is as it was, and may serve several trainers at a time."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from wassergan.constraints import CONSTRAINTS
from wassergan.data import Source
from wassergan.training import DistributedContext, Trainer

MakeTrainer = Callable[..., Trainer]
NEVER = lambda step: False  # noqa: E731
CONSTRAINED = [name for name in CONSTRAINTS if name != "none"]


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.critic.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("network", ["mlp", "conv", "resnet"])
@pytest.mark.parametrize("name", CONSTRAINED)
def test_one_constraint_object_serves_several_trainers_in_turn(
    make_trainer: MakeTrainer, make_source: Callable[..., Source], name: str, network: str
) -> None:
    if (network, name) == ("resnet", "orthogonal"):
        pytest.skip("a residual network has no certificate")
    options: dict[str, Any] = {"network": network, "critic_norm": "none", "penalty_every": 2}
    shared, source = CONSTRAINTS[name](), make_source()
    before = copy.deepcopy(vars(shared))

    def made(constraint: Any, data: Source, rank: int) -> Trainer:
        # Two trainers of different parts of a batch, whose steps are otherwise those of one process.
        return make_trainer(
            constraint=constraint, source=data, seed=rank, processes=DistributedContext(rank=rank, count=2), **options
        )

    alone = [made(CONSTRAINTS[name](), make_source(), rank) for rank in (0, 1)]
    sharing = [made(shared, source, rank) for rank in (0, 1)]
    for step in range(1, 4):
        for trainer in sharing:
            trainer.train(steps=step, tick_due=NEVER)
    for trainer in alone:
        trainer.train(steps=3, tick_due=NEVER)
    assert vars(shared) == before
    for ours, theirs in zip(sharing, alone, strict=True):
        assert equal(weights(ours), weights(theirs))
    assert not equal(weights(sharing[0]), weights(sharing[1]))


@pytest.mark.parametrize("name", ["gp", "lp"])
def test_a_trainer_of_several_processes_leaves_the_penalty_of_one_alone(make_trainer: MakeTrainer, name: str) -> None:
    constraint = CONSTRAINTS[name]()
    first, reference = make_trainer(constraint=constraint), make_trainer(constraint=name)
    make_trainer(constraint=constraint, processes=DistributedContext(rank=1, count=2))
    first.train(steps=3, tick_due=NEVER)
    reference.train(steps=3, tick_due=NEVER)
    assert equal(weights(first), weights(reference))


def test_the_source_is_as_it_was(make_trainer: MakeTrainer, make_source: Callable[..., Source]) -> None:
    source = make_source()
    rows = source.train(torch.arange(source.train_count)).numpy().copy()  # the source keeps them from now on
    assert source.train_weights is None and source.heldout_weights is None  # likewise
    before = dict(vars(source))
    trainer = make_trainer(source=source)
    trainer.train(steps=2, tick_due=lambda step: True, on_tick=lambda trainer: trainer.read_statistics() and None)  # type: ignore[arg-type]
    assert vars(source).keys() == before.keys() and all(vars(source)[name] is before[name] for name in before)
    np.testing.assert_array_equal(source.train(torch.arange(source.train_count)).numpy(), rows)
