"""Our trainer against a loop that is written as the papers' algorithm boxes read, on the same batches and noise."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wassergan.training import Trainer, step_runner

STEPS, CRITIC_STEPS = 20, 3


def recorded(monkeypatch: pytest.MonkeyPatch, trainer: Trainer) -> dict[str, list[Tensor]]:
    """Everything random that a trainer uses from now on: real batches, noise, and the mix of real and fake."""
    seen: dict[str, list[Tensor]] = {"real": [], "latent": [], "mix": []}

    def noting(name: str, draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def noted(*given: Any, **named: Any) -> Tensor:
            seen[name].append(draw(*given, **named))
            return seen[name][-1]

        return noted

    monkeypatch.setattr(trainer._inputs._batches, "draw", noting("real", trainer._inputs._batches.draw))  # type: ignore[arg-type]
    monkeypatch.setattr(trainer._inputs, "_latent", noting("latent", trainer._inputs._latent))
    monkeypatch.setattr("wassergan.constraints.torch.rand", noting("mix", torch.rand))
    return seen


@pytest.mark.parametrize("network", ["mlp", "conv", "winograd"])
@pytest.mark.parametrize(("constraint", "shares"), [("clip", False), ("gp", False), ("gp", True)])
def test_losses_are_those_of_a_plain_loop_on_the_same_batches_and_noise(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch, network: str, constraint: str, shares: bool
) -> None:
    if network == "winograd":  # usually from many channels on
        network = "conv"
        monkeypatch.setattr("wassergan.training.analytic.convolutions.MANY_CHANNELS", 1)
    optimizer, lr = ("rmsprop", 5e-5) if constraint == "clip" else ("adam", 1e-4)  # as published
    trainer = make_trainer(
        network=network,
        constraint=constraint,
        critic_steps=CRITIC_STEPS,
        optimizer=optimizer,
        lr=lr,
        share_fakes=shares,
    )
    generator, critic = copy.deepcopy(trainer.generator), copy.deepcopy(trainer.critic)
    told: list[dict[str, Tensor]] = []
    for name in ("critic_step", "generator_step"):
        step = getattr(step_runner, name)
        monkeypatch.setattr(step_runner, name, lambda *a, step=step, **k: told.append(step(*a, **k)) or told[-1])  # type: ignore[func-returns-value]
    seen = recorded(monkeypatch, trainer)
    trainer.train(steps=STEPS, tick_due=lambda step: False)

    def plain(network: nn.Module) -> torch.optim.Optimizer:
        if optimizer == "rmsprop":
            return torch.optim.RMSprop(network.parameters(), lr=lr)
        return torch.optim.Adam(network.parameters(), lr=lr, betas=(0.0, 0.9))

    critic_optimizer, generator_optimizer = plain(critic), plain(generator)
    reals, latents, mixes, ours = (iter(each) for each in (seen["real"], seen["latent"], seen["mix"], told))
    for _ in range(STEPS):
        noise = [next(latents) for _ in range(CRITIC_STEPS)]
        for latent in noise:
            real, fake = next(reals).samples, generator(latent).detach()  # type: ignore[attr-defined]
            gap = critic(real).mean() - critic(fake).mean()
            loss, record = -gap, next(ours)
            if constraint == "gp":
                mix = next(mixes)
                between = (mix * real + (1 - mix) * fake).requires_grad_(True)
                (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
                penalty = 10 * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
                loss = loss + penalty
                assert record["penalty"].item() == pytest.approx(penalty.item(), abs=1e-5, rel=1e-5)
            assert (record["real_mean"] - record["fake_mean"]).item() == pytest.approx(gap.item(), abs=1e-5)
            critic_optimizer.zero_grad()
            loss.backward()
            critic_optimizer.step()
            if constraint == "clip":
                for parameter in critic.parameters():
                    parameter.data.clamp_(-0.01, 0.01)
        loss = -critic(generator(noise[-1] if shares else next(latents))).mean()
        assert next(ours)["generator_loss"].item() == pytest.approx(loss.item(), abs=1e-5)
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
    assert not list(latents)
