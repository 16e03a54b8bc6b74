from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from wassergan.constraints import SpectralNormalisation, input_gradient_norms
from wassergan.lipschitz import SpectralNorm, advance_spectral_norms, spectrally_normalise
from wassergan.networks import ConvCritic, MLPCritic, ResNetCritic


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def critics() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {
            "mlp": MLPCritic((1, 8, 8), widths=(64, 48)),
            "conv": ConvCritic((1, 16, 16), maps=8, norm="none"),
            "resnet": ResNetCritic((3, 8, 8), maps=8, norm="none"),
        }


def weights(critic: nn.Module) -> dict[str, Tensor]:
    return {name: module.weight for name, module in critic.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}


def largest_singular_value(weight: Tensor) -> float:
    return torch.linalg.svdvals(weight.detach().double().flatten(1))[0].item()


def buffers(critic: nn.Module) -> list[Tensor]:
    return [buffer.clone() for buffer in critic.buffers()]


# Critic: spectral norm not on the last layer.
@pytest.mark.parametrize("kind", ["mlp", "conv", "resnet"])
def test_every_weight_the_last_one_included_has_spectral_norm_one_after_warm_up(kind: str) -> None:
    critic = critics()[kind]
    count = len(weights(critic))
    SpectralNormalisation().prepare(critic)
    normalised = weights(critic)
    assert len(normalised) == count
    for name, weight in normalised.items():
        assert largest_singular_value(weight) == pytest.approx(1, abs=1e-2), name


# Critic: frozen power iteration.
def test_power_iteration_follows_the_weights_through_training() -> None:
    critic = critics()["mlp"]
    constraint = SpectralNormalisation()
    constraint.prepare(critic)
    optimizer = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.0, 0.9))
    real, rng = torch.randn(32, 1, 8, 8, generator=seeded()) + 1, seeded(1)
    for _ in range(150):
        fake = torch.randn(32, 1, 8, 8, generator=rng)
        loss = critic(fake).mean() - critic(real).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        constraint.project(critic)
    for name, weight in weights(critic).items():
        assert largest_singular_value(weight) == pytest.approx(1, abs=1e-2), name


# Critic: u and v changed between two forwards, or changed in eval.
@pytest.mark.parametrize("training", [True, False])
def test_forward_passes_leave_the_power_iteration_alone(training: bool) -> None:
    critic = critics()["conv"].train(training)
    SpectralNormalisation().prepare(critic)
    samples = torch.randn(3, 1, 16, 16, generator=seeded())
    before = buffers(critic)
    first, second = critic(samples), critic(samples)
    assert torch.equal(first, second)
    assert all(torch.equal(old, new) for old, new in zip(before, buffers(critic), strict=True))


def test_state_dict_round_trip_keeps_scores_and_power_iteration() -> None:
    critic, other = critics()["mlp"], MLPCritic((1, 8, 8), widths=(64, 48))
    for each in (critic, other):
        SpectralNormalisation().prepare(each)
    with torch.no_grad():
        next(critic.parameters()).mul_(1.5)
    advance_spectral_norms(critic)
    other.load_state_dict(deepcopy(critic.state_dict()))
    samples = torch.randn(3, 1, 8, 8, generator=seeded())
    assert torch.equal(critic(samples), other(samples))
    advance_spectral_norms(critic)
    advance_spectral_norms(other)
    assert torch.equal(critic(samples), other(samples))


def test_the_norm_of_a_known_matrix() -> None:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    spectrally_normalise(layer)
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[1.0, 0.0], [0.0, 1 / 3]]))


def test_the_gradient_passes_through_the_norm() -> None:
    # W ↦ W / σ(W) does not change when W is scaled, so the gradient is orthogonal to W.
    layer = nn.Linear(5, 4, bias=False).double()
    spectrally_normalise(layer)
    layer(torch.randn(3, 5, generator=seeded(), dtype=torch.float64)).square().sum().backward()
    stored = layer.parametrizations["weight"].original
    assert stored.grad.norm() > 1e-3
    assert abs((stored.grad * stored).sum().item()) < 1e-10


def test_a_step_between_forward_and_backward_of_an_older_graph_is_no_error() -> None:
    layer = nn.Linear(5, 1)
    spectrally_normalise(layer)
    score = layer(torch.ones(1, 5)).sum()
    advance_spectral_norms(layer)
    score.backward()


def test_normalising_twice_adds_nothing_and_building_draws_no_random_number() -> None:
    critic = critics()["mlp"]
    outside = torch.get_rng_state()
    spectrally_normalise(critic)
    spectrally_normalise(critic)
    assert torch.equal(outside, torch.get_rng_state())
    assert sum(isinstance(module, SpectralNorm) for module in critic.modules()) == 3


# Critic: the reshaped kernel's norm is not the convolution's: measure the true slope.
def test_true_slope_of_a_normalised_convolution_can_reach_the_root_of_its_kernel_size() -> None:
    convolution = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    convolution.weight.data.fill_(1.0)
    critic = nn.Sequential(convolution, nn.Flatten(), nn.Linear(400, 1, bias=False))
    critic[2].weight.data.fill_(0.05)  # norm 1
    spectrally_normalise(critic)
    assert largest_singular_value(weights(critic)["0"]) == pytest.approx(1, abs=1e-6)
    # A constant direction passes the kernel of nine thirds with factor 3, but for the border.
    slope = input_gradient_norms(critic, torch.zeros(1, 1, 20, 20)).item()
    assert 2.7 < slope <= 3.0
