"""A small convolutional network that is trained for a fixed number of steps, the same for the same seed."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

MAPS = (16, 32, 64)
FEATURES = MAPS[-1]
SIDE = 32  # about as many positions along an axis come out of the first layer; larger pictures are strided
BATCH, RATE, DECAY = 64, 2e-3, 1e-3
ROUNDS = 30  # that a small set is gone through at most
_CHUNK = 256

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class ConvNet(nn.Module):
    """Three convolutions, the means of the last maps as features, and a linear layer.

    Args:
        sample: pictures (n, C, H, W) that it will see: their size, mean and deviation.
        outputs: of the linear layer.
        rng: of the weights.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, sample: Tensor, outputs: int, *, rng: torch.Generator) -> None:
        super().__init__()
        channels, height, width = sample.shape[1:]
        stride = max(1, round(max(height, width) / SIDE))
        sizes = [(2 * stride + 1, stride), (3, 2), (3, 2)]
        deviation = sample.std((0, 2, 3), correction=0, keepdim=True)
        self.register_buffer("mean", sample.mean((0, 2, 3), keepdim=True))
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, 1.0))
        layers: list[nn.Module] = []
        for maps, (kernel, step) in zip(MAPS, sizes, strict=True):
            layers += [
                _drawn(nn.Conv2d(channels, maps, kernel, stride=step, padding=kernel // 2, device="meta"), rng),
                nn.BatchNorm2d(maps),
                nn.LeakyReLU(0.1),
            ]
            channels = maps
        self.trunk = nn.Sequential(*layers)
        self.head = _drawn(nn.Linear(FEATURES, outputs, device="meta"), rng)

    def features(self, pictures: Tensor) -> Tensor:
        """(n, C, H, W) to (n, 64)."""
        found: Tensor = self.trunk((pictures - self.mean) / self.deviation)
        return found.mean((2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, C, H, W) to (n, outputs)."""
        scores: Tensor = self.head(self.features(pictures))
        return scores


def train(net: nn.Module, loss: Callable[[Tensor], Tensor], count: int, *, steps: int, rng: torch.Generator) -> None:
    """Minimise a loss over batches by AdamW with a falling learning rate; leaves the network in evaluation mode.

    Args:
        net: the network.
        loss: of the indices of a batch.
        count: of samples that batches are drawn from, in random order and each as often as the others.
        steps: how many; fewer for few samples.
        rng: of the batches.
    """
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    size = min(BATCH, count)
    steps = min(steps, ROUNDS * -(-count // BATCH))
    order = torch.cat([torch.randperm(count, generator=rng) for _ in range(-(-steps * size // count))])
    net.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        optimizer.zero_grad(set_to_none=True)
        with torch.enable_grad():
            loss(order[step * size : (step + 1) * size]).backward()
        optimizer.step()
    net.eval()


def trained_classifier(pictures: Tensor, labels: Tensor, classes: int, *, steps: int, rng: torch.Generator) -> ConvNet:
    """A network that was trained to name the class, (n,) int64, of pictures (n, C, H, W)."""
    net = ConvNet(pictures, classes, rng=rng)
    train(
        net,
        lambda some: functional.cross_entropy(net(pictures[some]), labels[some]),
        len(pictures),
        steps=steps,
        rng=rng,
    )
    return net


def in_chunks(map_: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """A map of many pictures, some at a time."""
    with torch.no_grad():
        return torch.cat([map_(chunk) for chunk in pictures.split(_CHUNK)])


def _drawn(layer: Layer, rng: torch.Generator) -> Layer:
    """A layer without values gets weights by He's rule from a stream of their own: no global random numbers."""
    layer = layer.to_empty(device="cpu")
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=rng) * (2 / layer.weight[0].numel()) ** 0.5)
        layer.bias.zero_()
    return layer
