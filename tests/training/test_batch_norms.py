"""Batch statistics of averaged weights, against what the layers see."""

import torch
from torch import Tensor, nn

from wassergan.constraints import get_constraint
from wassergan.data import open_source
from wassergan.networks import ConvCritic, ConvGenerator
from wassergan.objectives import get_objective
from wassergan.training import Averaging, Trainer
from wassergan.training.batch_norms import calibrate_batch_norms
from wassergan.training.sampling import under


def normal_in_evaluation(generator: nn.Module, latent: Tensor) -> list[tuple[float, float]]:
    """The largest mean and the deviation from 1 of what each batch normalisation makes, before scale and shift."""
    found = []

    def look(layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        values = (made - layer.bias[:, None, None]) / layer.weight[:, None, None]
        rows = values.transpose(0, 1).flatten(1)
        found.append((float(rows.mean(1).abs().max()), float((rows.std(1) - 1).abs().max())))

    hooks = [layer.register_forward_hook(look) for layer in generator.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        generator(latent)
    for hook in hooks:
        hook.remove()
    return found


def small_generator(*, latent_dim: int = 5) -> ConvGenerator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ConvGenerator(latent_dim, (1, 16, 16), head=nn.Tanh(), maps=4)


def test_calibrated_activations_have_mean_0_and_deviation_1() -> None:
    generator = small_generator().eval()
    latent = torch.randn(4000, 5, generator=torch.Generator().manual_seed(1))
    assert max(max(each) for each in normal_in_evaluation(generator, latent)) > 0.3
    calibrate_batch_norms(generator, (1, 16, 16), latent_dim=5, seed=3)
    found = normal_in_evaluation(generator, latent)
    assert len(found) == 2 and max(max(each) for each in found) < 0.1


def test_calibration_is_the_pass_in_training_mode_over_one_batch() -> None:
    """With the whole momentum on one batch, torch's own running statistics are the same numbers."""
    generator, other = small_generator().eval(), small_generator().train()
    calibrate_batch_norms(generator, (1, 16, 16), latent_dim=5, seed=3)
    latents: list[Tensor] = []
    hook = generator.register_forward_pre_hook(lambda module, given: latents.append(given[0]))
    calibrate_batch_norms(generator, (1, 16, 16), latent_dim=5, seed=3)
    hook.remove()
    for layer in other.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    other(latents[0])
    for name, value in other.named_buffers():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(dict(generator.named_buffers())[name], value, rtol=1e-4, atol=1e-5)


def test_calibration_leaves_weights_mode_counters_and_the_global_stream() -> None:
    generator = small_generator().eval()
    kept = {name: value.clone() for name, value in generator.state_dict().items() if "running" not in name}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    calibrate_batch_norms(generator, (1, 16, 16), latent_dim=5, seed=3)
    assert torch.equal(torch.rand(3), expected)
    assert not any(module.training for module in generator.modules())
    assert all(torch.equal(generator.state_dict()[name], value) for name, value in kept.items())


def test_a_layer_used_twice_has_the_mean_of_both_uses() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, latent: Tensor) -> Tensor:
            return torch.cat([self.norm(latent), self.norm(latent + 4)], 1)

    generator = Twice().eval()
    calibrate_batch_norms(generator, (4,), latent_dim=2, seed=0)
    assert generator.norm.running_mean is not None
    assert ((generator.norm.running_mean - 2).abs() < 0.2).all()


def trained(averaging: Averaging) -> Trainer:
    pictures = torch.rand(64, 1, 16, 16, generator=torch.Generator().manual_seed(0)).numpy()
    trainer = Trainer(
        small_generator(),
        ConvCritic((1, 16, 16), maps=4),
        open_source(pictures, layout="NCHW"),
        objective=get_objective("wasserstein"),
        constraint=get_constraint("lp"),
        latent_dim=5,
        batch_size=8,
        critic_steps=1,
        averaging=averaging,
    )
    trainer.train(steps=20)
    return trainer


def test_a_tick_finds_averaged_weights_with_their_own_statistics() -> None:
    latent = torch.randn(4000, 5, generator=torch.Generator().manual_seed(1))
    trainer = trained(Averaging(10_000, 1.0))
    assert max(max(each) for each in normal_in_evaluation(trainer.averaged_generator, latent)) < 0.1


def test_live_weights_keep_their_running_statistics() -> None:
    trainer = trained(Averaging(0, 0.05))
    for live, kept in zip(trainer.generator.buffers(), trainer.averaged_generator.buffers(), strict=True):
        assert torch.equal(live, kept)


def test_conditions_come_before_the_latents() -> None:
    class Ones:
        width = 2
        shape = (2,)

        def vectors(self, start: int, count: int, *, seed: int) -> Tensor:
            return torch.ones(count, 2)

        def state(self) -> dict[str, object]:
            return {}

    generator = nn.Sequential(nn.BatchNorm1d(5)).eval()
    calibrate_batch_norms(generator, (5,), latent_dim=3, seed=0, conditions=Ones())
    mean = generator[0].running_mean
    assert mean is not None and torch.equal(mean[:2], torch.ones(2)) and (mean[2:].abs() < 0.2).all()
    assert under(torch.ones(1, 2), torch.zeros(1, 3)).tolist() == [[1, 1, 0, 0, 0]]
