"""Rows that are kept back, and the spread of draws that they set."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wassergan.data import Batch, Source, open_source
from wassergan.networks import GivenGenerator, build_networks
from wassergan.training import Trainer
from wassergan.training.spread import calibrate_spread, kept_back, rank_spread

ROWS, LATENT = 400, 8


class Resized(GivenGenerator):
    """The first number of the condition, and the latent numbers about it with a deviation of its own."""

    def __init__(self, deviation: float) -> None:
        super().__init__(16, (1, 4, 4), (1, 2, 2), head=nn.Identity(), maps=2)
        self.deviation = deviation

    def forward(self, latent: Tensor) -> Tensor:
        """(n, 4 + 16) to (n, 1, 4, 4)."""
        noise = latent[:, 4:].reshape(-1, 1, 4, 4) * (1 if self.training else self.spread)
        return latent[:, 0].reshape(-1, 1, 1, 1) + self.deviation * noise


def pairs(rows: int = ROWS) -> tuple[Any, Any]:
    fine = np.random.default_rng(0).normal(size=(rows, 4, 4)).astype("float32")
    return fine, fine.reshape(rows, 2, 2, 2, 2).mean((2, 4))


def source_of(rows: int = ROWS, **further: Any) -> Source:
    fine, coarse = pairs(rows)
    return open_source(fine, condition_array=coarse, layout="NHW", seed=0, **further)


def networks(given: tuple[int, ...] = (1, 2, 2)) -> tuple[nn.Module, nn.Module]:
    return build_networks(
        "conv",
        (1, 4, 4),
        head=nn.Identity(),
        latent_dim=LATENT,
        generator_widths=(),
        critic_widths=(),
        maps=2,
        activation="leaky_relu",
        critic_activation="leaky_relu",
        generator_norm="none",
        critic_norm="none",
        seed=0,
        context_shape=given,
    )


def test_the_spread_of_ranks_is_that_of_counted_ranks() -> None:
    numbers = np.random.default_rng(1)
    draws, truth = numbers.normal(size=(30, 4, 2, 3)), numbers.normal(size=(30, 2, 3))
    ranks = [
        sum(draw < own for draw in each)
        for case, one in zip(draws, truth, strict=True)
        for each, own in zip(case.reshape(4, -1).T, one.reshape(-1), strict=True)
    ]
    uniform = np.mean((np.arange(5) - 2) ** 2)
    expected = np.mean((np.array(ranks) - 2) ** 2) / uniform
    assert rank_spread(torch.tensor(draws), torch.tensor(truth)) == pytest.approx(expected)
    assert rank_spread(torch.zeros(3, 4, 1), torch.zeros(3, 1)) == 0  # all equal: in the middle


@pytest.mark.parametrize("deviation", [0.6, 1.0, 1.5])
def test_draws_come_to_spread_as_truths_do(deviation: float) -> None:
    rng = torch.Generator().manual_seed(2)
    context = torch.randn(256, 4, generator=rng)
    truth = context[:, 0].reshape(-1, 1, 1, 1) + torch.randn(256, 1, 4, 4, generator=rng)
    generator = Resized(deviation).eval()
    calibrate_spread(generator, Batch(truth, context), latent_dim=16, seed=0)
    assert float(generator.spread) * deviation == pytest.approx(1, abs=0.05)


def test_the_spread_multiplies_latents_in_evaluation_alone() -> None:
    torch.manual_seed(0)
    generator = GivenGenerator(64 + 8 * 8, (1, 8, 8), (1, 2, 2), head=nn.Identity(), maps=4)
    told, latent = torch.randn(3, 4), torch.randn(3, 128)
    inputs, twice = torch.cat([told, latent], 1), torch.cat([told, 2 * latent], 1)
    plain, expected = generator.eval()(inputs), generator(twice)
    generator.spread.fill_(2.0)
    assert torch.equal(generator(inputs), expected) and not torch.equal(expected, plain)
    assert torch.equal(generator.train()(inputs), plain)


def test_a_checkpoint_that_knows_no_spread_has_that_of_training() -> None:
    generator = GivenGenerator(LATENT, (1, 8, 8), (1, 2, 2), head=nn.Identity(), maps=2)
    older = {name: value for name, value in generator.state_dict().items() if name != "spread"}
    generator.spread.fill_(3.0)
    generator.load_state_dict(older)
    assert generator.spread == 1 and "spread" not in older


def test_rows_that_are_kept_back_are_neither_trained_on_nor_held_out() -> None:
    source = source_of()
    aside = kept_back(source, networks()[0], batch_size=16, seed=3)
    assert aside is not None
    count = source.train_count // 10
    assert len(aside.rows.samples) == count and aside.source.train_count == source.train_count - count
    held = source.heldout_batch(torch.arange(source.heldout_count)).samples
    every = [aside.rows.samples, aside.source.train(torch.arange(aside.source.train_count)), held]
    found = torch.cat(every).flatten(1).sum(1).sort().values
    expected = source.codec.encode(source.values(torch.arange(ROWS))).flatten(1).sum(1).sort().values
    torch.testing.assert_close(found, expected)  # each row once
    cells = aside.rows.samples.reshape(count, 2, 2, 2, 2).mean((2, 4)).flatten(1)
    told = aside.rows.context
    assert told is not None
    slopes = (cells - cells.mean(0)) / (told - told.mean(0))
    assert slopes.std() < 1e-3 * slopes.mean()  # conditions are their own


def test_nothing_is_kept_back_of_few_rows_or_for_other_generators() -> None:
    generator = networks()[0]
    assert kept_back(source_of(350), generator, batch_size=16, seed=0) is None  # a tenth of 315
    assert kept_back(source_of(), generator, batch_size=180, seed=0) is None  # 324 would be left
    assert kept_back(source_of(), generator, batch_size=162, seed=0) is not None
    assert kept_back(source_of(), nn.Linear(2, 2), batch_size=16, seed=0) is None
    weighted = source_of().weighted(np.linspace(1, 2, ROWS))
    assert kept_back(weighted, generator, batch_size=16, seed=0) is None


def test_a_trainer_draws_no_row_that_is_kept_back_and_sets_the_spread_at_ticks() -> None:
    source = source_of()
    generator, critic = networks()
    trainer = Trainer(
        generator, critic, source, objective="wasserstein", constraint="lp", latent_dim=LATENT, batch_size=40, seed=5
    )
    aside = kept_back(source, generator, batch_size=40, seed=5)
    assert aside is not None
    seen = {float(row.sum()) for _ in range(30) for row in trainer._inputs._real().samples}
    back = {float(row.sum()) for row in aside.rows.samples}
    assert len(seen) == source.train_count - len(back) and not seen & back
    spreads: list[float] = []

    def tick(trained: Trainer) -> None:
        average = trained.averaged_generator
        assert isinstance(average, GivenGenerator)
        spreads.append(float(average.spread))

    trainer.train(steps=4, tick_due=lambda step: step % 2 == 0, on_tick=tick)
    expected, average = spreads[-1], trainer.averaged_generator
    assert isinstance(average, GivenGenerator) and len(spreads) == 3 and expected != 1
    average.spread.fill_(1.0)
    calibrate_spread(average, aside.rows, latent_dim=LATENT, seed=5)
    assert float(average.spread) == expected
