import torch
from torch import nn

from wassergan.networks import ResidualGenerator


def test_layers_of_equal_width_add_to_what_they_are_given() -> None:
    generator = ResidualGenerator(3, (2,), head=nn.Identity(), widths=(4, 4), activation="silu", norm="none")
    first, second, last = generator.body
    latent = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    hidden = nn.functional.silu(latent @ first.linear.weight.T + first.linear.bias)
    hidden = hidden + nn.functional.silu(hidden @ second.linear.weight.T + second.linear.bias)
    torch.testing.assert_close(generator(latent), hidden @ last.weight.T + last.bias)


def test_without_hidden_layers_it_is_linear() -> None:
    generator = ResidualGenerator(3, (2,), head=nn.Identity(), widths=())
    assert len(generator.body) == 1 and generator(torch.zeros(1, 3)).shape == (1, 2)
