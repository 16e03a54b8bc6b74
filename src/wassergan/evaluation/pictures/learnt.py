"""Features of a small network that learns from the training pictures alone: from their labels, or from themselves."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wassergan.evaluation.feature_cache import FeatureCache
from wassergan.evaluation.pictures.convnet import ConvNet, in_chunks, train, trained_classifier

STEPS = 200
TEMPERATURE = 0.2
SHIFT = 8  # pictures are moved by up to an eighth of each axis
TURNS = 4
EMBEDDING = 32
IDENTITY = "three convolutions, 1"  # changes with whatever changes the weights


def learnt_features(
    pictures: Tensor, labels: Tensor | None, *, seed: int, cache: FeatureCache | None = None, origin: Any = None
) -> Callable[[Tensor], Tensor]:
    """A map of pictures (n, C, H, W) to features (n, 64) that was learnt from training pictures.

    With labels the network learns to name them. Without, it learns by how many quarter turns a picture was turned
    (Gidaris et al. 2018, arXiv 1803.07728; pictures that are not square are mirrored), and which of two altered
    pictures were the same one (Chen et al. 2020, arXiv 2002.05709).

    Args:
        pictures: training pictures.
        labels: (n,) int64, if they have any.
        seed: of weights, batches and alterations.
        cache: keeps the weights for the next evaluation of the same data.
        origin: what tells the data apart, in plain JSON types.
    """
    rng = torch.Generator().manual_seed(seed)
    classes = TURNS + EMBEDDING if labels is None else int(labels.max()) + 1
    key = [IDENTITY, STEPS, seed, labels is not None, classes, len(pictures), origin]
    net = ConvNet(pictures, classes, rng=rng)
    state = nn.utils.parameters_to_vector([*net.parameters(), *_statistics(net)])
    kept = cache.find("network", key, 1) if cache else None
    if kept is not None and kept.shape == (1, len(state)):
        return _described(_with(net, kept[0]))
    if labels is None:
        train(net, lambda some: _own_loss(net, pictures[some], rng), len(pictures), steps=STEPS, rng=rng)
    else:
        net = trained_classifier(pictures, labels, classes, steps=STEPS, rng=rng)
    if cache:
        weights = nn.utils.parameters_to_vector([*net.parameters(), *_statistics(net)]).detach()
        cache.keep("network", key, weights[None])
    return _described(net)


def _described(net: ConvNet) -> Callable[[Tensor], Tensor]:
    return lambda pictures: in_chunks(net.eval().features, pictures)


def _statistics(net: nn.Module) -> list[Tensor]:
    """Running means and variances, without the integer counts."""
    return [each for each in net.buffers() if each.is_floating_point()]


def _with(net: ConvNet, vector: Tensor) -> ConvNet:
    with torch.no_grad():
        start = 0
        for each in (*net.parameters(), *_statistics(net)):
            each.copy_(vector[start : start + each.numel()].view_as(each))
            start += each.numel()
    return net


def _own_loss(net: ConvNet, pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Which turn, and which of the others is the same picture."""
    turns = torch.randint(TURNS, (len(pictures),), generator=rng)
    turned = torch.empty_like(pictures)
    for turn in range(TURNS):
        turned[turns == turn] = _turned(pictures[turns == turn], turn)
    named = functional.cross_entropy(net(turned)[:, :TURNS], turns)
    both = torch.cat([_altered(pictures, net.deviation, rng) for _ in range(2)])
    vectors = functional.normalize(net(both)[:, TURNS:], dim=1)
    alike = vectors @ vectors.T / TEMPERATURE
    alike = alike.masked_fill(torch.eye(len(both), dtype=torch.bool), -torch.inf)
    partner = torch.arange(len(both)).roll(len(pictures))
    return named + functional.cross_entropy(alike, partner)


def _turned(pictures: Tensor, turn: int) -> Tensor:
    if pictures.shape[2] == pictures.shape[3]:
        return pictures.rot90(turn, (2, 3))
    return pictures.flip([axis for axis, bit in ((2, 1), (3, 2)) if turn & bit])


def _altered(pictures: Tensor, deviation: Tensor, rng: torch.Generator) -> Tensor:
    """Each picture moved, its contrast changed, with a little noise."""
    count, channels, height, width = pictures.shape
    rows, columns = (_moved(size, count, rng) for size in (height, width))
    samples, maps = torch.arange(count).view(-1, 1, 1, 1), torch.arange(channels).view(1, -1, 1, 1)
    moved = pictures[samples, maps, rows[:, None, :, None], columns[:, None, None, :]]
    contrast = 1 + 0.2 * (2 * torch.rand(len(pictures), 1, 1, 1, generator=rng) - 1)
    noise = 0.05 * deviation * torch.randn(pictures.shape, generator=rng)
    return contrast * moved + noise


def _moved(size: int, count: int, rng: torch.Generator) -> Tensor:
    """Indices along an axis of so many pictures, each moved by its own offset; edges are repeated."""
    most = size // SHIFT
    offsets = torch.randint(-most, most + 1, (count, 1), generator=rng)
    return (torch.arange(size) + offsets).clamp(0, size - 1)
