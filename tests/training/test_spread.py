"""Rows that are kept back, and the spread of draws that they set."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wassergan.data import Batch, Codec, Source, open_source
from wassergan.networks import Bounded, GivenGenerator, build_networks
from wassergan.training import Trainer
from wassergan.training.spread import _Trials, calibrate_spread, kept_back, rank_variance, ranked_by, unevenness
from wassergan.utils.rng import derived_rng

ROWS, LATENT = 400, 8


class Resized(GivenGenerator):
    """The first number of the condition, and the latent numbers about it with a deviation of its own."""

    def __init__(self, deviation: float) -> None:
        super().__init__(16, (1, 4, 4), (1, 2, 2), head=nn.Identity(), maps=2)
        self.deviation = deviation

    def forward(self, latent: Tensor) -> Tensor:
        """(n, 4 + 16) to (n, 1, 4, 4)."""
        factor = self.spread * torch.exp(self.tails * latent[:, 4:].sum(1) / 4)
        noise = latent[:, 4:] if self.training else factor[:, None] * latent[:, 4:]
        return latent[:, 0].reshape(-1, 1, 1, 1) + self.deviation * noise.reshape(-1, 1, 4, 4)


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


def test_the_variance_of_ranks_and_their_unevenness_are_those_of_counted_ranks() -> None:
    numbers = np.random.default_rng(1)
    draws, truth = numbers.normal(size=(30, 4, 2, 3)), numbers.normal(size=(30, 2, 3))
    ranks = [
        sum(draw < own for draw in each)
        for case, one in zip(draws, truth, strict=True)
        for each, own in zip(case.reshape(4, -1).T, one.reshape(-1), strict=True)
    ]
    counts = torch.tensor([ranks.count(rank) for rank in range(5)])
    uniform = np.mean((np.arange(5) - 2) ** 2)
    assert rank_variance(counts) == pytest.approx(np.mean((np.array(ranks) - 2) ** 2) / uniform)
    ends = [(ranks.count(rank) + ranks.count(4 - rank)) / 2 * 5 / len(ranks) for rank in range(5)]
    assert unevenness(counts) == pytest.approx(np.mean([(each - 1) ** 2 for each in ends]))
    assert rank_variance(torch.tensor([0, 0, 7, 0, 0])) == 0 and unevenness(torch.tensor([3, 3, 3])) == 0


def test_trials_rank_the_draws_that_other_factors_would_make() -> None:
    rng = torch.Generator().manual_seed(4)
    context = torch.randn(40, 4, generator=rng)
    rows = Batch(context[:, 0].reshape(-1, 1, 1, 1) + torch.randn(40, 1, 4, 4, generator=rng), context)
    generator = Resized(0.7).eval()
    trials = _Trials.of(generator, rows, 6, latent_dim=16, seed=1)
    latent = torch.randn(40 * 6, 16, generator=derived_rng(1, "spread"))
    noise = 0.7 * latent.view(40, 6, 16)
    drawn = context[:, None, :1] + noise
    sizes = torch.exp(0.4 * latent.sum(1) / 4).view(40, 6, 1)
    places = drawn.mean(1, keepdim=True) + 1.3 * sizes * (drawn - drawn.mean(1, keepdim=True))
    counts = trials.ranks(1.3, 0.4)
    for case in range(40):
        below = (places[case] < rows.samples[case].flatten()).sum(0)
        assert counts[case].tolist() == [int((below == rank).sum()) for rank in range(7)]


def test_equal_draws_give_the_truth_any_rank_among_them() -> None:
    truth = torch.zeros(50, 1, 8, 8)
    ties = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0))
    trials = _Trials(torch.zeros(50, 1, 1, 8, 8), torch.zeros(50, 3, 1, 8, 8), torch.zeros(50, 3), truth, ties)
    shares = trials.ranks(1.0, 0.0).sum(0) / truth.numel()
    assert (shares - 0.25).abs().max() < 0.03


@pytest.mark.parametrize("deviation", [0.6, 1.0, 1.5])
@pytest.mark.parametrize("heavy", [0.0, 0.4])
def test_draws_come_to_spread_as_truths_do(deviation: float, heavy: float) -> None:
    rng = torch.Generator().manual_seed(2)
    context = torch.randn(256, 4, generator=rng)
    sizes = torch.exp(heavy * torch.randn(256, 1, 1, 1, generator=rng))
    truth = context[:, 0].reshape(-1, 1, 1, 1) + sizes * torch.randn(256, 1, 4, 4, generator=rng)
    generator = Resized(deviation).eval()
    calibrate_spread(generator, Batch(truth, context), latent_dim=16, seed=0)
    assert float(generator.spread) * deviation == pytest.approx(1, abs=0.1)
    assert float(generator.tails) == pytest.approx(heavy, abs=0.11)


class Rain(Resized):
    """The same with its lowest values at the lower end of a range."""

    def __init__(self, deviation: float, codec: Codec) -> None:
        super().__init__(deviation)
        self.ends = Bounded(codec.low, codec.high, overshoot=1.3).eval()

    def forward(self, latent: Tensor) -> Tensor:
        """(n, 4 + 16) to (n, 1, 4, 4)."""
        found: Tensor = self.ends(super().forward(latent))
        return found


@pytest.mark.parametrize("deviation", [0.7, 1.0, 1.4])
def test_draws_of_whole_numbers_that_are_often_the_lowest_come_to_spread_as_truths_do(deviation: float) -> None:
    data = np.append(np.zeros(100), np.arange(81)).astype("int16").reshape(-1, 1, 1)
    codec = open_source(np.tile(data, (1, 4, 4)), layout="NHW").codec
    assert isinstance(codec, Codec)
    rng = torch.Generator().manual_seed(3)
    context = -1.2 + torch.randn(256, 4, generator=rng)
    truth = Rain(1.0, codec).ends(context[:, 0].reshape(-1, 1, 1, 1) + torch.randn(256, 1, 4, 4, generator=rng))
    rows = codec.decode_numpy(truth)
    assert 0.3 < (rows == 0).mean() < 0.7
    generator = Rain(deviation, codec).eval()
    truth = codec.encode(torch.from_numpy(rows))
    calibrate_spread(generator, Batch(truth, context), latent_dim=16, seed=0, ranked=ranked_by(codec))
    assert float(generator.spread) * deviation == pytest.approx(1, abs=0.1)
    assert float(generator.tails) <= 0.11


class Gappy(Resized):
    """The same with a channel that says that every number is there."""

    def forward(self, latent: Tensor) -> Tensor:
        """(n, 4 + 16) to (n, 2, 4, 4)."""
        numbers = super().forward(latent)
        return torch.cat([numbers, torch.ones_like(numbers)], 1)


def test_numbers_that_are_missing_do_not_bear_on_the_spread() -> None:
    rng = torch.Generator().manual_seed(3)
    context = torch.randn(256, 4, generator=rng)
    values = context[:, 0].reshape(-1, 1, 1) + torch.randn(256, 4, 4, generator=rng)
    values[torch.rand(values.shape, generator=rng) < 0.5] = np.nan
    codec = open_source(values.numpy(), layout="NHW").codec
    assert isinstance(codec, Codec) and codec.parts is not None and codec.parts.masks == 1
    truth, scale = codec.encode(values), 1 / float(codec.scale)
    generator = Gappy(scale).eval()
    context[:, 0] = (context[:, 0] - float(codec.offset)) * scale
    calibrate_spread(generator, Batch(truth, context), latent_dim=16, seed=0, ranked=ranked_by(codec))
    assert float(generator.spread) == pytest.approx(1, abs=0.1) and float(generator.tails) <= 0.11


def test_of_numbers_that_are_all_missing_nothing_is_found() -> None:
    context = torch.randn(40, 4, generator=torch.Generator().manual_seed(3))

    def ranked(samples: Tensor) -> Tensor:
        return torch.full_like(samples, np.nan)

    generator = Resized(3.0).eval()
    rows = Batch(torch.zeros(40, 1, 4, 4), context)
    calibrate_spread(generator, rows, latent_dim=16, seed=0, ranked=ranked)
    assert generator.spread == 1 and generator.tails == 0


def test_numbers_of_any_size_are_ranked_in_model_space() -> None:
    assert ranked_by(source_of().codec) is None


def test_draws_of_the_whole_range_and_truths_beyond_it_end_at_the_widest_factor() -> None:
    context = torch.zeros(64, 4)
    truth = 50 * torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    generator = Resized(1.0).eval()
    calibrate_spread(generator, Batch(truth, context), latent_dim=16, seed=0)
    assert 1.6 <= float(generator.spread) <= 2.4 and np.isfinite(float(generator.tails))


def test_the_spread_multiplies_latents_in_evaluation_alone() -> None:
    torch.manual_seed(0)
    generator = GivenGenerator(64 + 8 * 8, (1, 8, 8), (1, 2, 2), head=nn.Identity(), maps=4)
    told, latent = torch.randn(3, 4), torch.randn(3, 128)
    inputs, twice = torch.cat([told, latent], 1), torch.cat([told, 2 * latent], 1)
    plain, expected = generator.eval()(inputs), generator(twice)
    generator.spread.fill_(2.0)
    assert torch.equal(generator(inputs), expected) and not torch.equal(expected, plain)
    assert torch.equal(generator.train()(inputs), plain)


def test_tails_multiply_each_draw_by_a_number_of_its_own() -> None:
    torch.manual_seed(0)
    generator = GivenGenerator(64 + 8 * 8, (1, 8, 8), (1, 2, 2), head=nn.Identity(), maps=4).eval()
    told, latent = torch.randn(3, 4), torch.randn(3, 128)
    factors = torch.stack([torch.exp(0.5 * each[:64].sum() / 8) for each in latent])
    expected = generator(torch.cat([told, factors[:, None] * latent], 1))
    plain = generator(torch.cat([told, latent], 1))
    generator.tails.fill_(0.5)
    torch.testing.assert_close(generator(torch.cat([told, latent], 1)), expected)
    torch.testing.assert_close(generator.train()(torch.cat([told, latent], 1)), plain)


def test_a_checkpoint_that_knows_no_spread_has_that_of_training() -> None:
    generator = GivenGenerator(LATENT, (1, 8, 8), (1, 2, 2), head=nn.Identity(), maps=2)
    older = {name: value for name, value in generator.state_dict().items() if name not in ("spread", "tails")}
    generator.spread.fill_(3.0)
    generator.tails.fill_(0.3)
    generator.load_state_dict(older)
    assert generator.spread == 1 and generator.tails == 0 and "spread" not in older


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


@pytest.mark.parametrize("whole", [False, True])
def test_a_trainer_draws_no_row_that_is_kept_back_and_sets_the_spread_at_ticks(whole: bool) -> None:
    fine, coarse = pairs()
    fine = fine.clip(-1, 1).round().astype("int16") if whole else fine
    source = open_source(fine, condition_array=coarse, layout="NHW", seed=0)
    generator, critic = networks()
    trainer = Trainer(
        generator, critic, source, objective="wasserstein", constraint="lp", latent_dim=LATENT, batch_size=40, seed=5
    )
    aside = kept_back(source, generator, batch_size=40, seed=5)
    assert aside is not None
    seen = {float(row.sum()) for _ in range(30) for row in trainer._inputs._real().samples}
    back = {float(row.sum()) for row in aside.rows.samples}
    assert whole or (len(seen) == source.train_count - len(back) and not seen & back)
    spreads: list[float] = []

    def tick(trained: Trainer) -> None:
        average = trained.averaged_generator
        assert isinstance(average, GivenGenerator)
        spreads.append(float(average.spread))

    trainer.train(steps=4, tick_due=lambda step: step % 2 == 0, on_tick=tick)
    expected, average = spreads[-1], trainer.averaged_generator
    assert isinstance(average, GivenGenerator) and len(spreads) == 3 and expected != 1
    average.spread.fill_(1.0)
    calibrate_spread(average, aside.rows, latent_dim=LATENT, seed=5, ranked=ranked_by(source.codec))
    assert float(average.spread) == expected
    calibrate_spread(average, aside.rows, latent_dim=LATENT, seed=5)
    assert (float(average.spread) == expected) != whole
