"""The probe against measurements of critics whose gap and gradient norm are known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from wassergan.data import Source
from wassergan.training.heldout_probe import MEASURED_SAMPLES, HeldoutProbe

CPU = torch.device("cpu")


class Constant(nn.Module):
    """Samples that are all the same, in training mode others."""

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.sample = sample

    def forward(self, latent: Tensor) -> Tensor:
        return (self.sample + 99.0 * self.training).expand(len(latent), *self.sample.shape)


@pytest.mark.parametrize("pack", [1, 2, 3, 7, 13])  # of 10 held-out samples, 13 take some twice
@pytest.mark.parametrize("count", [20, 50, 3000])
def test_the_gap_and_norm_of_a_linear_critic_over_packs(
    make_source: Callable[..., Source], count: int, pack: int
) -> None:
    source = make_source((3,), count=count, heldout=0.5)
    probe = HeldoutProbe(source, latent_dim=2, pack=pack, seed=0, device=CPU)
    critic, generator = nn.Linear(3 * pack, 1), Constant(torch.tensor([0.5, 0, -1]))
    measured = probe.measure(generator, critic)
    weight = critic.weight[0].detach()
    held = min(source.heldout_count, MEASURED_SAMPLES)
    samples = source.heldout(source.heldout_positions(MEASURED_SAMPLES, seed=0))
    rows = samples[torch.arange(max(held // pack, 1) * pack) % held].view(-1, 3 * pack)
    expected = ((rows - generator.sample.repeat(pack)) @ weight).mean().item()
    assert measured["critic_gap_heldout"] == pytest.approx(expected, abs=1e-5)
    assert measured["gradient_norm_mean"] == pytest.approx(weight.norm().item(), rel=1e-5)
    assert measured["gradient_norm_max"] == pytest.approx(weight.norm().item(), rel=1e-5)
    assert generator.training and critic.training
    assert probe.measure(generator, critic) == measured
    assert probe.packs(2).samples.shape == (2, 3 * pack)


def test_packs_larger_than_what_is_measured_take_samples_more_than_once(make_source: Callable[..., Source]) -> None:
    source = make_source((1,), count=5000, heldout=0.5)
    probe = HeldoutProbe(source, latent_dim=2, pack=1000, seed=0, device=CPU)
    assert probe.packs(2).samples.shape == (2, 1000)
