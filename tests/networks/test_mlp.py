import torch
from torch import nn

from wassergan.networks import MLPCritic, MLPGenerator


def linear_sizes(network: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]


def test_widths_are_those_of_the_2017_implementations() -> None:
    generator = MLPGenerator(100, (1, 28, 28), head=nn.Tanh())
    critic = MLPCritic((1, 28, 28))
    assert linear_sizes(generator) == [(100, 256), (256, 512), (512, 1024), (1024, 784)]
    assert linear_sizes(critic) == [(784, 1024), (1024, 512), (512, 256), (256, 1)]
    slopes = [m.negative_slope for n in (generator, critic) for m in n.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 6


def test_the_critic_computes_what_its_layers_say() -> None:
    critic = MLPCritic((2,), widths=(3,))
    samples = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    first, last = (module for module in critic.modules() if isinstance(module, nn.Linear))
    hidden = samples @ first.weight.T + first.bias
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    torch.testing.assert_close(critic(samples), (hidden @ last.weight.T + last.bias)[:, 0])


def test_no_hidden_layer_is_a_linear_map() -> None:
    assert linear_sizes(MLPGenerator(3, (2,), head=nn.Identity(), widths=())) == [(3, 2)]
    assert linear_sizes(MLPCritic((2, 4, 4), widths=())) == [(32, 1)]
