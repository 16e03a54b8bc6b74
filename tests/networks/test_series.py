"""Generators that show no step the future, and a critic of differences with a certificate."""

import pytest
import torch
from torch import Tensor, nn

from wassergan.constraints import CONSTRAINTS, LARGEST_ORTHOGONAL, get_constraint, input_gradient_norms
from wassergan.errors import UserError
from wassergan.lipschitz import certify
from wassergan.networks import CausalGenerator, RecurrentGenerator, SeriesCritic, build_networks
from wassergan.networks.series import NoiseInTime, WithDifferences

STEPS = 9
GENERATORS = (CausalGenerator, RecurrentGenerator)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("norm", ["layer", "none", "batch"])
@pytest.mark.parametrize("steps", [STEPS, 40])
def test_a_step_depends_on_no_later_noise_and_on_all_earlier(kind: type[nn.Module], norm: str, steps: int) -> None:
    torch.manual_seed(0)
    each = 2
    generator = kind(2 * each * steps, (3, steps), head=nn.Identity(), maps=8, norm=norm).double().eval()
    latent = normal(2, 2 * each * steps).double().requires_grad_()
    before = 0.0
    for step in (0, steps // 2, steps - 1):
        (found,) = torch.autograd.grad(generator(latent)[:, :, step].sum(), latent, retain_graph=True)
        by_step = found[:, : each * steps].unflatten(1, (steps, each)).abs().sum((0, 2))
        assert (by_step[: step + 1] > 0).all() and (by_step[step + 1 :] == 0).all()
        assert (found[:, each * steps :] != 0).all()  # what all steps share
        before += by_step.sum().item()
    assert before > 0


@pytest.mark.parametrize(("numbers", "own"), [(2 * STEPS - 1, 0), (2 * STEPS, 1), (4 * STEPS + 3, 2), (1, 0)])
def test_half_of_the_latent_numbers_belong_to_single_steps(numbers: int, own: int) -> None:
    noise = NoiseInTime(numbers, STEPS, 5)
    assert noise.own == own and noise(normal(4, numbers)).shape == (4, 5, STEPS)


def test_differences_are_those_of_neighbours_and_the_norm_does_not_grow() -> None:
    series = normal(3, 2, 7)
    found = WithDifferences()(series) * 5**0.5
    torch.testing.assert_close(found[:, :2], series)
    assert (found[:, 2:, 0] == 0).all()
    torch.testing.assert_close(found[:, 2:, 1:], series[:, :, 1:] - series[:, :, :-1])
    steps = 200
    matrix = torch.autograd.functional.jacobian(WithDifferences(), torch.zeros(1, 1, steps, dtype=torch.float64))
    norm = torch.linalg.matrix_norm(matrix.reshape(2 * steps, steps), 2).item()
    bound, _ = WithDifferences().lipschitz_proof()
    assert 0.999 < norm <= bound < 1.0001  # alternating signs come near it


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("context", [0, 3])
def test_every_constraint_takes_the_critic(name: str, context: int) -> None:
    torch.manual_seed(0)
    critic = SeriesCritic((2, 11), maps=4, norm="none", activation="maxmin", context_dim=context)
    constraint = get_constraint(name)
    constraint.prepare(critic)
    told = normal(6, context, seed=3) if context else None
    real, fake = normal(6, 2, 11), 3 * normal(6, 2, 11, seed=1)
    own = (lambda samples: critic(samples, told)) if context else critic
    loss = constraint.penalty(own, real, fake, torch.Generator().manual_seed(0)) + critic(real, told).sum()
    loss.backward()
    constraint.project(critic)
    assert all(each.grad is not None for each in critic.parameters() if each.requires_grad)
    if name in ("orthogonal", "sn"):
        bound = certify(critic.eval()).constant
        norms = input_gradient_norms(own, fake)
        assert (norms <= bound).all() and (norms > 0).all()
        assert name == "sn" or bound <= LARGEST_ORTHOGONAL


def test_orthogonal_weights_refuse_layers_that_they_do_not_hold() -> None:
    critic = SeriesCritic((2, 11), maps=4, norm="layer")
    with pytest.raises(UserError, match=r"GroupNorm.*cannot be bounded"):
        get_constraint("orthogonal").prepare(critic)


def test_recurrent_networks_are_for_series() -> None:
    sizes = {"latent_dim": 4, "generator_widths": (), "critic_widths": (), "maps": 4, "seed": 0}
    names = {"activation": "silu", "critic_activation": "silu", "generator_norm": "none", "critic_norm": "none"}
    with pytest.raises(UserError, match=r"Network 'recurrent' needs series: samples of shape \(1, 8, 8\). Say layout="):
        build_networks("recurrent", (1, 8, 8), head=nn.Identity(), **sizes, **names)  # type: ignore[arg-type]
