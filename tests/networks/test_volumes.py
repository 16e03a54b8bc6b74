"""Generators and critics of volumes of any sides."""

import pytest
import torch
from torch import Tensor, nn

from wassergan.constraints import CONSTRAINTS, LARGEST_ORTHOGONAL, get_constraint, input_gradient_norms
from wassergan.errors import UserError
from wassergan.lipschitz import certify
from wassergan.networks import Phases, VolumeCritic, VolumeGenerator
from wassergan.networks.volumes import after, stages

SIDES = [(8, 8, 8), (9, 13, 8), (4, 4, 4), (1, 8, 33), (5, 17, 3), (7, 7, 7), (2, 2, 4)]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sides", [*SIDES, (32, 32, 32), (64, 40, 9)])
def test_sides_are_halved_until_they_are_small(sides: tuple[int, int, int]) -> None:
    reached = sides
    for each in stages(sides):
        assert any(each) and all(side >= 2 for side, half in zip(reached, each, strict=True) if half)
        reached = after(reached, each)
    assert max(reached) <= 6 and min(reached) >= 1


@pytest.mark.parametrize("sides", SIDES)
def test_every_voxel_depends_on_the_latent_and_moves_the_score(sides: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    generator = VolumeGenerator(6, (2, *sides), head=nn.Identity(), maps=2).double().eval()
    made = generator(normal(3, 6).double())
    assert made.shape == (3, 2, *sides) and ((made[0] - made[1]).abs() > 0).all()
    critic = VolumeCritic((2, *sides), maps=2).double()
    points = made.detach().requires_grad_()
    (found,) = torch.autograd.grad(critic(points).sum(), points)
    assert (found != 0).all()


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("context", [0, 3])
def test_every_constraint_takes_the_critic(name: str, context: int) -> None:
    torch.manual_seed(0)
    critic = VolumeCritic((2, 9, 8, 5), maps=4, norm="none", activation="maxmin", context_dim=context)
    constraint = get_constraint(name)
    constraint.prepare(critic)
    told = normal(6, context, seed=3) if context else None
    real, fake = normal(6, 2, 9, 8, 5), 3 * normal(6, 2, 9, 8, 5, seed=1)
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


@pytest.mark.parametrize("norm", ["layer", "none", "batch"])
def test_layer_normalisation_joins_no_samples(norm: str) -> None:
    torch.manual_seed(0)
    critic = VolumeCritic((1, 16, 8, 8), maps=2, norm=norm).double()
    samples = normal(4, 1, 16, 8, 8).double()
    alone = torch.cat([critic(each[None]) for each in samples])
    assert torch.allclose(alone, critic(samples)) == (norm != "batch")
    if norm == "batch":
        with pytest.raises(UserError, match="couples the samples"):
            get_constraint("gp").prepare(critic)


def test_shares_of_phases_are_those_of_a_softmax() -> None:
    values = normal(2, 6, 3, 2, 2)
    found = Phases(2, 3)(values)
    for channel in (0, 1):
        planes = slice(3 * channel, 3 * channel + 3)
        torch.testing.assert_close(found[:, planes], 2 * values[:, planes].softmax(1) - 1)


def test_samples_are_pulled_towards_the_mean_of_all_in_evaluation_alone() -> None:
    head, values = Phases(1, 1), normal(4, 1, 3, 2, 2)
    plain = head(values)
    head.pulls.fill_(0.25)
    head.centres.fill_(2.0)
    assert torch.equal(head(values), plain)
    expected = [each - 0.25 * (each.mean() - 2.0) for each in values]
    torch.testing.assert_close(head.eval()(values), torch.tanh(torch.stack(expected)))
    head.load_state_dict({"offsets": torch.ones(1, 1, 1, 1)})  # of an older checkpoint
    torch.testing.assert_close(head(values), torch.tanh(values + 1))


def test_flat_things_are_refused() -> None:
    for shape in ((1, 3, 3, 3), (1, 8, 8)):
        with pytest.raises(
            UserError, match=r"Network 'conv' needs volumes with a side of at least 4: samples of shape"
        ):
            VolumeCritic(shape)
