import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wassergan.errors import UserError
from wassergan.networks import Bounded, Continued, Partial, SeriesDensityGenerator, build_networks
from wassergan.networks.series import CausalStack
from wassergan.networks.series_density import COMPONENTS, FINEST, LINEAR, NOISE, WIDEST

WIDE = 30.0


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def generator(channels: int, steps: int, *, gappy: bool = False, strength: float = 0.3) -> SeriesDensityGenerator:
    """One whose weights are far from the first ones; the last of its channels, if any are missing, says which."""
    head: nn.Module = Bounded(torch.full((channels, 1), -WIDE), torch.full((channels, 1), WIDE))
    shape = (channels, steps)
    if gappy:
        shape = (channels + 1, steps)
        which = torch.ones(channels, steps, dtype=torch.bool)
        gates = torch.zeros(channels, dtype=torch.int64)
        head = Partial(head, torch.ones(shape, dtype=torch.bool), which, gates)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        made = SeriesDensityGenerator(3, shape, head=head, maps=8).eval()
    with torch.no_grad():
        for number, each in enumerate(made.parameters()):
            each.add_(strength * normal(*each.shape, seed=number))
        made.density.out.mul_(0.2)
        made.density.out_bias[..., 2 * COMPONENTS : 3 * COMPONENTS] = -1.5  # scales that a grid can tell
    return made


def grid(*, ends: float = 12.0, count: int = 241) -> tuple[Tensor, float]:
    places = torch.linspace(-ends, ends, count)
    return places, float(places[1] - places[0])


@pytest.mark.parametrize(("channels", "steps"), [(1, 2), (2, 1)])
def test_the_density_of_all_series_integrates_to_one(channels: int, steps: int) -> None:
    made, (places, width) = generator(channels, steps), grid()
    pairs = torch.cartesian_prod(places, places)
    series = pairs.view(-1, channels, steps)
    latent = normal(1, 3 + made.noise_dim).expand(len(series), -1)
    total = made.log_likelihood(latent, series).double().exp().sum() * width**2
    torch.testing.assert_close(total, torch.tensor(1.0).double(), atol=5e-3, rtol=0)


def test_the_chances_of_what_is_missing_add_up_to_one() -> None:
    made, (places, width) = generator(1, 2, gappy=True), grid()
    total = torch.zeros((), dtype=torch.float64)
    for first, second in itertools.product([1.0, -1.0], repeat=2):
        axes = [places if each > 0 else torch.zeros(1) for each in (first, second)]
        pairs = torch.cartesian_prod(*axes)
        masks = torch.tensor([first, second]).expand(len(pairs), -1)
        series = torch.stack([pairs, masks], 1)
        latent = normal(1, 3 + made.noise_dim).expand(len(series), -1)
        there = (first > 0) + (second > 0)
        total += made.log_likelihood(latent, series).double().exp().sum() * width**there
    torch.testing.assert_close(total, torch.tensor(1.0).double(), atol=5e-3, rtol=0)


@pytest.mark.parametrize(("channels", "steps"), [(1, 2), (2, 1)])
def test_series_are_drawn_as_often_as_their_likelihood_says(channels: int, steps: int) -> None:
    made, (places, width), count = generator(channels, steps), grid(), 40_000
    shared = normal(1, 3)
    latent = torch.cat([shared.expand(count, -1), normal(count, made.noise_dim, seed=5)], 1)
    with torch.no_grad():
        drawn = made(latent).flatten(1)
        pairs = torch.cartesian_prod(places, places)
        chances = made.log_likelihood(latent[:1].expand(len(pairs), -1), pairs.view(-1, channels, steps)).exp()
    quantiles = drawn[:, 0].quantile(torch.tensor([0.25, 0.5, 0.8]))
    edges = ((quantiles / width).floor() * width + width / 2).tolist()  # of cells of the grid
    for first, second in itertools.product(edges, [-1 - width / 2, width / 2, 1 + width / 2]):
        wanted = (chances * ((pairs[:, 0] < first) & (pairs[:, 1] < second))).sum() * width**2
        found = ((drawn[:, 0] < first) & (drawn[:, 1] < second)).double().mean()
        assert abs(found - wanted) < 0.015  # five deviations of 40 000 draws, and the grid


def test_missing_values_are_drawn_as_often_as_their_likelihood_says() -> None:
    made, count = generator(1, 1, gappy=True), 20_000
    latent = torch.cat([normal(1, 3).expand(count, -1), normal(count, made.noise_dim, seed=5)], 1)
    with torch.no_grad():
        drawn = made(latent)
        gone = torch.tensor([[[0.0], [-1.0]]])
        wanted = made.log_likelihood(latent[:1], gone).exp().item()
    missing = drawn[:, 1, 0] < 0
    assert 0.1 < wanted < 0.9
    assert abs(missing.double().mean().item() - wanted) < 0.02
    assert (drawn[missing][:, 0] == 0).all() and (drawn[~missing][:, 0] != 0).any()


@pytest.mark.parametrize("gappy", [False, True])
def test_what_belongs_to_a_step_or_a_later_channel_changes_nothing_before_it(gappy: bool) -> None:
    made = generator(3, 6, gappy=gappy)
    latent = normal(60, 3 + made.noise_dim)
    with torch.no_grad():
        before = made(latent)
        for step, channel in itertools.product(range(6), range(3)):
            own = latent.clone()
            own[:, 3 + step * made.noises + 2 * channel + 1] += 1.0
            after = made(own)
            assert torch.equal(before[:, :, :step], after[:, :, :step])
            assert torch.equal(before[:, :channel, step], after[:, :channel, step])
            changed = (before != after).any(0)
            assert changed[channel, step]
            assert changed[channel + 1 : 3, step].all() and changed[:3, step + 1 :].all()


@pytest.mark.parametrize("steps", [1, 2, 5, 24])
def test_a_stack_says_step_by_step_what_it_says_at_once(steps: int) -> None:
    stack, memory = CausalStack(steps, 7, norm="layer"), CausalStack(steps, 7, norm="layer").memory()
    hidden = normal(4, 7, steps)
    with torch.no_grad():
        found = torch.stack([stack.step(each, memory) for each in hidden.unbind(2)], 2)
        torch.testing.assert_close(found, stack(hidden), atol=1e-5, rtol=1e-5)


def test_constants_are_left_out_and_draws_stay_within_the_bounds_of_the_data() -> None:
    active = torch.ones(2, 4, dtype=torch.bool)
    active[0, 2] = active[1, 0] = False
    bounded = Bounded(torch.tensor([[-0.5], [-2.0]]), torch.tensor([[0.25], [2.0]]))
    none = torch.zeros(2, 4, dtype=torch.bool)
    made = SeriesDensityGenerator(1, (2, 4), head=Partial(bounded, active, none, torch.full((2,), -1)), maps=8).eval()
    latent = normal(200, 1 + made.noise_dim)
    with torch.no_grad():
        drawn = made(latent)
        real = 0.2 * normal(200, 2, 4, seed=3) * active
        other = torch.where(active, real, 7.0)
        assert torch.equal(made.log_likelihood(latent, real), made.log_likelihood(latent, other))
    assert (drawn[:, ~active] == 0).all() and (drawn[:, active] != 0).all()
    low, high = drawn.amin((0, 2)), drawn.amax((0, 2))
    torch.testing.assert_close(low, torch.tensor([-0.5, -2.0]))
    torch.testing.assert_close(high, torch.tensor([0.25, 2.0]))


def test_the_past_is_blurred_by_what_densities_leave_open() -> None:
    """Steps that are logistic of scale s about what follows from others have an entropy of log s + 2, however long."""
    channels, scales = 2, torch.tensor([0.5, 0.01])
    made = SeriesDensityGenerator(1, (channels, 200), head=Bounded(torch.tensor(-WIDE), torch.tensor(WIDE)), maps=8)
    with torch.no_grad():
        made.density.out.zero_()
        made.density.out_bias.zero_()
        raw = torch.logit((scales - FINEST) / WIDEST)
        made.density.out_bias[:, 0, 2 * COMPONENTS : 3 * COMPONENTS] = raw[:, None]
        made.density.out_bias[:, 0, : COMPONENTS // 2] = 20.0  # those that move with the last value
        made.density.from_step[1, 0] = 1 / LINEAR  # the second moves as the first does, but for little
    even = torch.rand(160, channels, 200, generator=torch.Generator().manual_seed(0))
    real = (scales[:, None] * torch.logit(even)).cumsum(2).cumsum(1)
    numbers, nothing = real.mT, real.mT[..., :0]
    latent, there = normal(160, 1 + made.noise_dim), torch.ones(160, 200, channels)
    torch.manual_seed(0)
    made.past_noise = 0.4
    noise = made._noise(latent, numbers, nothing, numbers, there)
    steps = scales.square().cumsum(0).sqrt() * math.pi / 3**0.5
    wanted = ((0.4 * math.e**2 / math.sqrt(2 * math.pi * math.e) * scales) ** 2 + (NOISE * steps) ** 2).sqrt()
    torch.testing.assert_close(noise.std((0, 1)), wanted, atol=0, rtol=0.03)


def test_the_past_is_blurred_in_training_alone() -> None:
    made = generator(2, 6)
    latent, real = normal(40, 3 + made.noise_dim), normal(40, 2, 6, seed=4)
    exact = [made.log_likelihood(latent, real) for _ in range(2)]
    made.train()
    blurred = [made.log_likelihood(latent, real) for _ in range(2)]
    assert torch.equal(*exact) and not torch.equal(*blurred)


def test_noise_on_the_past_is_refused_where_nothing_is_drawn_from_densities() -> None:
    sizes: dict[str, Any] = {"latent_dim": 2, "generator_widths": (8,), "critic_widths": (8,), "maps": 4, "seed": 0}
    names: dict[str, Any] = {
        "activation": "silu",
        "critic_activation": "silu",
        "generator_norm": "none",
        "critic_norm": "none",
    }
    head = Bounded(torch.tensor(-1.0), torch.tensor(1.0))
    made, _ = build_networks("conv", (2, 6), head=head, likelihood=1.0, past_noise=0.5, **sizes, **names)
    assert isinstance(made, SeriesDensityGenerator) and made.past_noise == 0.5
    with pytest.raises(UserError, match="for series that are drawn from densities, step by step") as refused:
        build_networks("conv", (2, 6), head=head, past_noise=0.5, **sizes, **names)
    assert "likelihood" in str(refused.value)  # fewer than 500 series have none unless it is asked for


def test_batch_normalisation_is_refused() -> None:
    with pytest.raises(UserError, match="drawn step by step cannot be normalised over a batch"):
        SeriesDensityGenerator(1, (2, 4), head=Bounded(torch.zeros(2, 1), torch.ones(2, 1)), norm="batch")


@pytest.mark.parametrize("gappy", [False, True])
@pytest.mark.parametrize("known", [1, 3, 5])
def test_series_that_go_on_from_their_own_past_by_the_same_numbers_are_the_same(gappy: bool, known: int) -> None:
    made = generator(2, 6, gappy=gappy)
    latent, other = normal(40, 3 + made.noise_dim), normal(40, 3 + made.noise_dim, seed=9)
    whole = made(latent)
    inputs = torch.cat([whole[:, :, :known].flatten(1), latent], 1)
    again = Continued(made, channels=whole.shape[1], steps=known)(inputs)
    torch.testing.assert_close(again, whole, atol=1e-5, rtol=1e-5)
    # Other numbers for the steps that are given change nothing; other ones behind them do, and leave the past alone.
    mixed = latent.clone()
    mixed[:, 3 : 3 + known * made.noises] = other[:, 3 : 3 + known * made.noises]
    torch.testing.assert_close(made(mixed, whole[:, :, :known]), again, atol=0, rtol=0)
    mixed[:, 3:] = other[:, 3:]
    further = made(mixed, whole[:, :, :known])
    torch.testing.assert_close(further[:, :, :known], whole[:, :, :known], atol=1e-6, rtol=0)
    assert (further[:, 0, known:] - whole[:, 0, known:]).abs().mean() > 0.1


def test_what_follows_a_past_is_drawn_as_often_as_the_likelihood_says() -> None:
    made, (places, width), count, past = generator(1, 2), grid(), 40_000, 0.7
    shared = normal(1, 3)
    latent = torch.cat([shared.expand(count, -1), normal(count, made.noise_dim, seed=5)], 1)
    with torch.no_grad():
        drawn = made(latent, torch.full((count, 1, 1), past))[:, 0, 1]
        series = torch.stack([torch.full_like(places, past), places], 1)[:, None]
        chances = made.log_likelihood(latent[:1].expand(len(places), -1), series).exp()
    chances = chances / chances.sum()
    for edge in drawn.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist():
        cell = round(edge / width) * width - width / 2  # an edge of a cell of the grid
        wanted = chances[places < cell].sum()
        assert abs(float((drawn < cell).float().mean() - wanted)) < 0.01, (edge, wanted)
