import pytest
import torch
from torch import nn

from wassergan.networks import ResNetCritic, ResNetGenerator
from wassergan.networks.resnet import DownBlock, UpBlock


@pytest.mark.parametrize(("side", "halved", "doubled"), [(32, 2, 3), (64, 3, 4), (128, 4, 5)])
def test_each_doubling_of_the_side_adds_one_block(side: int, halved: int, doubled: int) -> None:
    critic = ResNetCritic((3, side, side), maps=4)
    generator = ResNetGenerator(8, (3, side, side), head=nn.Tanh(), maps=4)
    blocks = [module for module in critic.modules() if isinstance(module, DownBlock)]
    assert [block.halve for block in blocks] == [True] * halved + [False, False]
    assert sum(isinstance(module, UpBlock) for module in generator.modules()) == doubled
    assert generator.start[1:] == (4, 4)


def test_the_published_width_is_128_maps() -> None:
    critic = ResNetCritic((3, 32, 32))
    assert critic.score.in_features == 128
    assert not any(isinstance(module, nn.GroupNorm | nn.BatchNorm2d) for module in critic.modules())


def test_a_block_without_residual_is_its_shortcut() -> None:
    block = DownBlock(3, 3, norm="none", halve=False)
    block.conv2.weight.data.zero_()
    block.conv2.bias.data.zero_()
    hidden = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(hidden), hidden)
