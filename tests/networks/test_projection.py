"""Critics that are told conditions by the weights of their last layer."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wassergan.errors import UserError
from wassergan.networks import Bounded, ProjectionCritic, build_networks

SHAPES = [(1, 8, 8), (3, 12, 17), (2, 20), (1, 8, 8, 8)]


def critic_of(shape: tuple[int, ...], *, kind: str = "conv", given: tuple[int, ...] = (3,), **more: Any) -> nn.Module:
    return build_networks(
        kind,
        shape,
        head=Bounded(-torch.ones(()), torch.ones(())),
        latent_dim=6,
        generator_widths=(12,),
        critic_widths=(10,),
        maps=4,
        activation="leaky_relu",
        critic_activation="leaky_relu",
        generator_norm="none",
        critic_norm="none",
        seed=0,
        context_shape=given,
        **{"critic_condition": "projection", **more},
    )[1].double()


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_products_of_features_and_of_weights_that_a_condition_moves(shape: tuple[int, ...]) -> None:
    critic = critic_of(shape)
    assert isinstance(critic, ProjectionCritic)
    samples, context = normal(5, *shape), normal(5, 3)
    scores = critic(samples, context)
    assert scores.shape == (5,) and critic(samples[:1], context[:1]).shape == (1,)
    *layers, head = critic.body
    for number in range(5):
        features = samples[number][None]
        for layer in layers:
            features = layer(features)
        first, _, second = critic.told
        hidden = first.weight @ context[number] + first.bias
        weights = head.weight[0] + second.weight @ (hidden / (1 + torch.exp(-hidden)))
        assert scores[number].item() == pytest.approx((weights @ features[0] + head.bias[0]).item(), rel=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_critic_of_a_fixed_condition_sees_every_number_of_a_sample_and_of_the_condition(
    shape: tuple[int, ...],
) -> None:
    critic = critic_of(shape)
    samples, context = normal(8, *shape).requires_grad_(), normal(8, 3).requires_grad_()
    critic(samples, context).sum().backward()
    for given in (samples, context):
        assert given.grad is not None and (given.grad.abs().sum(0) > 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_packs_are_told_the_conditions_of_all_their_samples(shape: tuple[int, ...]) -> None:
    critic = critic_of(shape, pack=2)
    scores = critic(normal(4, 2 * shape[0], *shape[1:]), normal(4, 6))
    assert scores.shape == (4,)


@pytest.mark.parametrize(
    ("kind", "shape", "given"),
    [("mlp", (7,), (3,)), ("mlp", (1, 8, 8), (3,)), ("resnet", (1, 16, 16), (3,)), ("residual", (7,), (3,))],
)
def test_other_critics_are_not_told_so(kind: str, shape: tuple[int, ...], given: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=f"critic.condition=.projection.* is for conv critics.*{kind}"):
        critic_of(shape, kind=kind, given=given)


def test_without_conditions_or_under_fields_nothing_is_projected() -> None:
    with pytest.raises(UserError, match="projection.*no conditions"):
        critic_of((1, 8, 8), given=())
    with pytest.raises(UserError, match="projection.*is for conv critics"):
        critic_of((1, 8, 8), given=(1, 4, 4))
