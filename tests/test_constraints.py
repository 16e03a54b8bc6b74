from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from wassergan.constraints import (
    CONSTRAINTS,
    Clipping,
    Constraint,
    GradientPenalty,
    LipschitzPenalty,
    SpectralNormalisation,
    ZeroCentredPenalty,
    get_constraint,
    input_gradient_norms,
    points_between,
)
from wassergan.errors import UserError

PENALTIES = (GradientPenalty, LipschitzPenalty, ZeroCentredPenalty)


class LinearCritic(nn.Module):
    """f(x) = w·x: its slope is ‖w‖ everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, samples: Tensor) -> Tensor:
        return samples.flatten(1) @ self.weight


class RecordingCritic(nn.Module):
    """Keeps the points that it was asked about."""

    def forward(self, samples: Tensor) -> Tensor:
        self.seen = samples.detach().clone()
        return samples.flatten(1).sum(1)


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear_critic(shape: tuple[int, ...], slope: float, *, seed: int = 0) -> LinearCritic:
    direction = torch.randn(shape, generator=generator_of(seed), dtype=torch.float64).flatten()
    return LinearCritic(slope * direction / direction.norm())


def smooth_critic(*, seed: int = 0, inputs: int = 6) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        critic = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    for parameter in critic.parameters():
        parameter.data.mul_(2)  # slopes on both sides of 1
    return critic


def batches(shape: tuple[int, ...], *, count: int = 4, seed: int = 1) -> tuple[Tensor, Tensor]:
    rng = generator_of(seed)
    return tuple(torch.randn(count, *shape, generator=rng, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


# Penalty: one norm over the whole batch, or over the channel axis only; sum instead of mean.
@given(
    count=st.integers(1, 9),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    slope=st.floats(0, 4),
    weight=st.floats(0.1, 20),
)
def test_penalty_of_a_linear_critic_has_its_closed_form_for_every_batch_size_and_rank(
    count: int, shape: tuple[int, ...], slope: float, weight: float
) -> None:
    critic, (real, fake) = linear_critic(shape, slope), batches(shape, count=count)
    two_sided = GradientPenalty(weight).penalty(critic, real, fake, generator_of(0))
    one_sided = LipschitzPenalty(weight).penalty(critic, real, fake, generator_of(0))
    assert two_sided.item() == pytest.approx(weight * (slope - 1) ** 2, rel=1e-9, abs=1e-12)
    assert one_sided.item() == pytest.approx(weight * max(0, slope - 1) ** 2, rel=1e-9, abs=1e-12)


def test_one_sided_penalty_is_free_below_slope_one_and_two_sided_is_not() -> None:
    critic, (real, fake) = linear_critic((3,), 0.5), batches((3,))
    assert LipschitzPenalty(1.0).penalty(critic, real, fake, generator_of(0)).item() == 0
    assert GradientPenalty(1.0).penalty(critic, real, fake, generator_of(0)).item() == pytest.approx(0.25)


# R1 + R2 at points between, on one side alone, with a root, or without the half.
@given(count=st.integers(1, 6), weight=st.floats(0.1, 20), seed=st.integers(0, 99))
def test_zero_centred_penalties_of_a_quadratic_critic_have_their_closed_form(
    count: int, weight: float, seed: int
) -> None:
    matrix = torch.randn(6, 6, generator=generator_of(seed), dtype=torch.float64)
    real, fake = batches((2, 3), count=count, seed=seed)
    penalty = ZeroCentredPenalty(weight).penalty(
        lambda x: (x.flatten(1) @ matrix).square().sum(1) / 2, real, fake, generator_of(0)
    )
    # ∇ (‖x M‖² / 2) = x M Mᵀ.
    gradients = [each.flatten(1) @ matrix @ matrix.T for each in (real, fake)]
    expected = weight / 2 * sum(each.square().sum(1).mean().item() for each in gradients)
    assert penalty.item() == pytest.approx(expected, rel=1e-9)


# Penalty: one mixing weight per batch, per pixel, or drawn from a normal distribution.
@pytest.mark.parametrize("shape", [(5,), (3, 4), (3, 4, 2)])
def test_mixing_weight_is_constant_within_a_sample_differs_across_samples_and_is_uniform(
    shape: tuple[int, ...],
) -> None:
    critic = RecordingCritic()
    real, fake = torch.zeros(4000, *shape), torch.ones(4000, *shape)
    GradientPenalty().penalty(critic, real, fake, generator_of(0))
    seen = critic.seen.flatten(1)
    assert (seen == seen[:, :1]).all()
    weights = seen[:, 0].sort().values.double()
    assert len(weights.unique()) > 3900
    assert weights[0] >= 0 and weights[-1] <= 1
    # Kolmogorov-Smirnov distance to U[0, 1]; 1.63 / √4000 = 0.026 is the 1 % point.
    assert (weights - (torch.arange(4000) + 0.5) / 4000).abs().max() < 0.026


def test_points_lie_on_the_segment_between_paired_samples() -> None:
    real, fake = batches((3, 2), count=6)
    points = points_between(real, fake, generator_of(0))
    share = ((points - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(share, share[:, :1].expand_as(share), rtol=0, atol=1e-9)
    assert (share > 0).all() and (share < 1).all()


def test_points_between_refuses_batches_of_different_shape() -> None:
    with pytest.raises(UserError, match=r"differ in shape: \(2, 3\) and \(1, 3\)"):
        points_between(torch.zeros(2, 3), torch.zeros(1, 3), generator_of(0))


# Penalty: graph cut (create_graph missing).
@pytest.mark.parametrize("kind", PENALTIES)
def test_penalty_gradient_in_the_weights_agrees_with_finite_differences(kind: type[Constraint]) -> None:
    critic, (real, fake), step = smooth_critic(), batches((2, 3)), 1e-6

    def penalty() -> Tensor:
        return kind().penalty(critic, real, fake, generator_of(3))

    assert penalty().requires_grad
    penalty().backward()
    for name, parameter in critic.named_parameters():
        if name == "3.bias":  # the score's own offset has no slope
            assert parameter.grad is None
            continue
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-3
        flat = parameter.data.view(-1)
        for index in range(0, flat.numel(), 3):
            kept = flat[index].item()
            flat[index] = kept + step
            above = penalty().item()
            flat[index] = kept - step
            below = penalty().item()
            flat[index] = kept
            numeric = (above - below) / (2 * step)
            assert parameter.grad.view(-1)[index].item() == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_slopes_agree_with_finite_differences() -> None:
    critic, (points, _) = smooth_critic(), batches((2, 3))
    slopes = input_gradient_norms(critic, points)
    flat, step = points.flatten(1), 1e-6
    with torch.no_grad():
        partial = [
            (critic(flat + step * torch.eye(6)[i]) - critic(flat - step * torch.eye(6)[i])) / (2 * step)
            for i in range(6)
        ]
    torch.testing.assert_close(slopes, torch.cat(partial, 1).norm(dim=1), rtol=1e-6, atol=1e-8)


def test_measuring_slopes_works_without_grad_and_leaves_no_gradients() -> None:
    critic, (points, _) = smooth_critic(), batches((2, 3))
    with torch.no_grad():
        slopes = input_gradient_norms(critic, points)
    assert not slopes.requires_grad
    assert points.grad is None and all(parameter.grad is None for parameter in critic.parameters())


def test_penalty_reaches_neither_the_real_nor_the_fake_samples() -> None:
    real, fake = (batch.requires_grad_() for batch in batches((2, 3)))
    GradientPenalty().penalty(smooth_critic(), real, fake, generator_of(0)).backward()
    assert real.grad is None and fake.grad is None


# Penalty: √0.
@pytest.mark.parametrize(("kind", "expected"), [(GradientPenalty, 1.0), (LipschitzPenalty, 0.0)])
def test_constant_critic_gives_a_finite_penalty_and_finite_gradients(
    kind: Callable[[float], Constraint], expected: float
) -> None:
    critic, (real, fake) = linear_critic((3,), 0.0), batches((3,))
    penalty = kind(1.0).penalty(critic, real, fake, generator_of(0))
    penalty.backward()
    assert penalty.item() == expected
    assert critic.weight.grad is not None and critic.weight.grad.isfinite().all()


# Penalty: batch or channel count baked in.
@pytest.mark.parametrize("kind", PENALTIES)
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("count", [1, 7])
def test_penalty_takes_a_last_batch_of_7_and_1_or_4_channels(kind: type[Constraint], channels: int, count: int) -> None:
    real, fake = batches((channels, 3, 2), count=count)
    critic = linear_critic((channels, 3, 2), 3.0)
    expected = 9.0 if kind is ZeroCentredPenalty else 4.0  # 3², (3 - 1)²
    assert kind(1.0).penalty(critic, real, fake, generator_of(0)).item() == pytest.approx(expected)  # type: ignore[call-arg]


# Penalty: half precision around the penalty turns NaN.
@pytest.mark.parametrize("kind", PENALTIES)
def test_penalty_of_half_precision_batches_is_float32_and_within_one_percent(kind: type[Constraint]) -> None:
    exact_critic, (real, fake) = smooth_critic(), batches((2, 3), count=64)
    exact = kind().penalty(exact_critic, real, fake, generator_of(0)).item()
    critic = deepcopy(exact_critic).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        # The same mixing weights: float32 and float64 draw different ones, so the points are fixed by hand.
        rng = generator_of(0)
        zero_centred = kind is ZeroCentredPenalty
        points = (torch.cat([real, fake]) if zero_centred else points_between(real, fake, rng)).float()
        slopes = input_gradient_norms(critic, points, differentiable=True)
        penalty = kind().weight * kind().cost(slopes).mean()  # type: ignore[attr-defined]
        mixed = kind().penalty(critic, real.bfloat16(), fake.bfloat16(), generator_of(0))
    assert slopes.dtype == torch.float32 and mixed.dtype == torch.float32
    assert penalty.item() == pytest.approx(exact, rel=0.01)
    full = kind().penalty(critic, real.bfloat16().float(), fake.bfloat16().float(), generator_of(0))
    assert mixed.item() == pytest.approx(full.item(), rel=0.01)


def test_penalty_leaves_a_caller_s_autocast_as_it_was() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        GradientPenalty().penalty(smooth_critic().float(), torch.zeros(2, 6), torch.ones(2, 6), generator_of(0))
        assert torch.is_autocast_enabled("cpu")


# Critic: BatchNorm in a critic with a gradient penalty.
@pytest.mark.parametrize("name", ["gp", "lp", "r1r2", "sn"])
@pytest.mark.parametrize("layer", [nn.BatchNorm1d(5), nn.SyncBatchNorm(5)])
def test_batch_norm_is_refused_under_a_penalty_and_named(name: str, layer: nn.Module) -> None:
    critic = nn.Sequential(nn.Linear(6, 5), layer, nn.Linear(5, 1))
    with pytest.raises(UserError, match=rf"{type(layer).__name__} \(layer '1'\) in the critic (couples|rescales)"):
        get_constraint(name).prepare(critic)


@pytest.mark.parametrize("layer", [nn.LayerNorm(5), nn.GroupNorm(1, 5), nn.InstanceNorm1d(5)])
def test_spectral_norm_refuses_every_normalisation_and_penalties_take_those_of_one_sample(layer: nn.Module) -> None:
    critic = nn.Sequential(nn.Linear(6, 5), layer, nn.Linear(5, 1))
    with pytest.raises(UserError, match="spectral normalisation of the weights bounds nothing"):
        SpectralNormalisation().prepare(critic)
    for kind in PENALTIES:
        kind().prepare(critic)


def test_spectral_norm_refuses_a_critic_without_weights_to_normalise() -> None:
    with pytest.raises(UserError, match="found no linear or convolution layer"):
        SpectralNormalisation().prepare(RecordingCritic())


# Clipping: after the optimiser's step; never running statistics.
def test_clipping_bounds_every_parameter_and_leaves_running_statistics_alone() -> None:
    critic = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    critic(torch.randn(9, 6, generator=generator_of(0)) * 10)
    buffers = {name: value.clone() for name, value in critic.named_buffers()}
    assert buffers["1.running_var"].max() > 0.5
    before = {name: value.clone() for name, value in critic.named_parameters()}
    constraint = Clipping(0.01)
    constraint.prepare(critic)
    for name, value in critic.named_parameters():
        assert torch.equal(value, before[name].clamp(-0.01, 0.01))
    for name, value in critic.named_buffers():  # type: ignore[assignment]
        assert torch.equal(value, buffers[name])


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_contract_penalty_is_a_finite_scalar_and_projecting_twice_changes_no_unbounded_weight(name: str) -> None:
    critic, (real, fake) = smooth_critic(), batches((2, 3))
    constraint = get_constraint(name)
    constraint.prepare(critic)
    penalty = constraint.penalty(critic, real, fake, generator_of(0))
    assert penalty.shape == () and penalty.isfinite() and penalty.dtype == real.dtype
    constraint.project(critic)
    weights = [parameter.clone() for parameter in critic.parameters()]
    constraint.project(critic)
    assert all(torch.equal(old, new) for old, new in zip(weights, critic.parameters(), strict=True))
    assert constraint.lipschitz == (name != "none")


@pytest.mark.parametrize("name", ["gp", "lp"])
def test_penalty_draws_from_the_given_generator_alone(name: str) -> None:
    critic, (real, fake) = smooth_critic(), batches((2, 3))
    outside = torch.get_rng_state()
    first, again, other = (get_constraint(name).penalty(critic, real, fake, generator_of(seed)) for seed in (0, 0, 1))
    assert first == again and first != other
    assert torch.equal(outside, torch.get_rng_state())


def test_weights_reach_the_constraint_that_uses_them() -> None:
    clip, penalty = get_constraint("clip", clip=0.3), get_constraint("gp", penalty_weight=3.0)
    assert isinstance(clip, Clipping) and clip.limit == 0.3
    assert isinstance(penalty, GradientPenalty) and penalty.weight == 3.0


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_limits_and_weights_must_be_positive(value: float) -> None:
    with pytest.raises(UserError, match="clipping limit must be positive"):
        Clipping(value)
    with pytest.raises(UserError, match="penalty's weight must be positive"):
        GradientPenalty(value)


def test_unknown_constraint_names_the_nearest() -> None:
    with pytest.raises(
        UserError,
        match=r"Unknown constraint: 'clp'. Did you mean 'clip'\? Known: clip, gp, lp, r1r2, sn, orthogonal, none",
    ):
        get_constraint("clp")
