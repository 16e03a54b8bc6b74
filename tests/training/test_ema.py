import pytest
import torch
from torch import nn

from wassergan.training.ema import AveragedGenerator


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def move(generator: nn.Module, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng))
    generator(torch.randn(5, 2, generator=rng))


def test_the_average_is_the_recursive_one_in_its_parameters() -> None:
    generator = network()
    average = AveragedGenerator(generator, half_life_samples=40, ramp=1.0)
    expected = {name: value.clone().double() for name, value in generator.named_parameters()}
    for step in range(1, 8):
        move(generator, step)
        average.update(batch_size=10, samples_seen=10 * step)
        keep = 0.5 ** (10 / min(40, 10 * step))
        for name, value in generator.named_parameters():
            expected[name] = keep * expected[name] + (1 - keep) * value.detach().double()
    for name, value in average.module.named_parameters():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)


# Generator: averaged weights without buffers, or averaging integer counters.
def test_buffers_are_copied_counters_included() -> None:
    generator = network()
    average = AveragedGenerator(generator, half_life_samples=1e6, ramp=1.0)
    for step in range(1, 4):
        move(generator, step)
        average.update(batch_size=10, samples_seen=10 * step)
    live = dict(generator.named_buffers())
    assert live["1.num_batches_tracked"] == 3
    for name, value in average.module.named_buffers():
        assert torch.equal(value, live[name]) and value.dtype == live[name].dtype
        assert value.data_ptr() != live[name].data_ptr()


def test_after_one_half_life_an_old_weight_counts_half() -> None:
    generator = network()
    average = AveragedGenerator(generator, half_life_samples=50, ramp=1.0)
    for parameter in average.module.parameters():
        parameter.zero_()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.fill_(1.0)
    for _ in range(5):
        average.update(batch_size=10, samples_seen=10_000)
    for parameter in average.module.parameters():
        torch.testing.assert_close(parameter, torch.full_like(parameter, 0.5))


@pytest.mark.parametrize(("half_life", "ramp", "seen"), [(0.0, 0.05, 1000), (500.0, 0.0, 1000), (500.0, 0.05, 0)])
def test_without_a_half_life_the_average_is_the_live_generator(half_life: float, ramp: float, seen: int) -> None:
    generator = network()
    average = AveragedGenerator(generator, half_life_samples=half_life, ramp=ramp)
    move(generator, 1)
    average.update(batch_size=10, samples_seen=seen)
    for live, kept in zip(generator.parameters(), average.module.parameters(), strict=True):
        torch.testing.assert_close(live, kept)


def test_the_half_life_is_short_at_first() -> None:
    average = AveragedGenerator(network(), half_life_samples=1000, ramp=0.1)
    weights = [average.weight(10, seen) for seen in (10, 100, 1000, 10_000, 100_000)]
    assert weights[0] == 1 - 0.5**10
    assert weights == sorted(weights, reverse=True) and weights[3] == weights[4] == 1 - 0.5 ** (10 / 1000)


def test_the_average_evaluates_and_never_learns() -> None:
    average = AveragedGenerator(network(), half_life_samples=1, ramp=1.0)
    assert not average.module.training
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
