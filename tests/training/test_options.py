from collections.abc import Callable
from typing import Any

import pytest

from wassergan.errors import UserError
from wassergan.training import Averaging, Execution, Trainer
from wassergan.training.distributed import DistributedContext
from wassergan.training.options import Batching

MakeTrainer = Callable[..., Trainer]


@pytest.mark.parametrize("name", ["batch_size", "critic_steps", "penalty_every", "pack"])
@pytest.mark.parametrize("value", [0, -3, 2.5, float("nan"), "8", None])
def test_numbers_of_samples_and_steps_are_whole_and_positive(make_trainer: MakeTrainer, name: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"The trainer's {name} must be a whole number of at least 1: {value}"):
        make_trainer(networks=(None, None), **{name: value})  # before networks are looked at


def test_averages_and_precisions_that_mean_nothing_are_refused() -> None:
    for given in ((-1.0, 0.1), (float("nan"), 0.1), (10.0, -0.1), (10.0, float("nan"))):
        with pytest.raises(UserError, match="of the average must be at least 0"):
            Averaging(*given)
    with pytest.raises(UserError, match="float8"):
        Execution("float8")


@pytest.mark.parametrize("every", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("critic_steps", [1, 3, 5])
def test_the_penalty_acts_on_every_so_many_critic_steps_over_all(critic_steps: int, every: int) -> None:
    batching = Batching(8, critic_steps, every)
    due = [each for step in range(40) for each in batching.penalties_due(step)]
    assert due == [number % every == 0 for number in range(40 * critic_steps)]


@pytest.mark.parametrize(("size", "count", "pack"), [(12, 2, 3), (12, 3, 2), (12, 1, 12), (8, 8, 1)])
def test_batches_that_are_shared_and_packed_evenly_are_taken(size: int, count: int, pack: int) -> None:
    Batching(size, pack=pack).require_shards(DistributedContext(count=count))


@pytest.mark.parametrize(("size", "count", "pack"), [(12, 3, 3), (12, 1, 5), (4, 1, 8)])
def test_shards_that_cannot_be_cut_into_packs_are_refused(size: int, count: int, pack: int) -> None:
    with pytest.raises(UserError, match=rf"{size // count} samples per process in packs of {pack}"):
        Batching(size, pack=pack).require_shards(DistributedContext(count=count))


def test_objectives_and_constraints_may_be_named() -> None:
    from wassergan.constraints import LipschitzPenalty, get_constraint
    from wassergan.objectives import OBJECTIVES
    from wassergan.training.options import by_name

    objective, constraint = by_name("wasserstein", "lp")
    assert objective is OBJECTIVES["wasserstein"] and isinstance(constraint, LipschitzPenalty)
    given = get_constraint("gp")
    assert by_name(objective, given) == (objective, given)
    with pytest.raises(UserError, match=r"Unknown constraint: 'lpp'. Did you mean 'lp'"):
        by_name(objective, "lpp")
    with pytest.raises(UserError, match="`objective` takes an Objective or the name of one: 3"):
        by_name(3, given)  # type: ignore[arg-type]
    with pytest.raises(UserError, match='For a critic without one, constraint="none"'):
        by_name(objective, None)  # type: ignore[arg-type]


def test_a_trainer_takes_names(make_source: Callable[..., Any]) -> None:
    from torch import nn

    source = make_source((5,))
    networks = nn.Sequential(nn.Linear(4, source.shape_size)), nn.Linear(source.shape_size, 1)
    trainer = Trainer(*networks, source, objective="wasserstein", constraint="gp", latent_dim=4, batch_size=8)
    assert (trainer.objective.name, type(trainer.constraint).__name__) == ("wasserstein", "GradientPenalty")
