"""Random critics from every layer that `certify` knows, and a search for a pair of points that beats the certificate.

python tests/lipschitz/random_critics.py 500        # trials; prints how many certificates were beaten
"""

import random
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from wassergan.errors import UserError
from wassergan.lipschitz import (
    Averaged,
    Concatenated,
    GroupSort,
    MaxMin,
    Residual,
    bound_convolution,
    certify,
    orthogonalise,
)

STARTS = ((3,), (5,), (1, 9), (2, 7), (3, 6), (1, 6, 5), (2, 5, 5), (2, 4, 7), (1, 7, 3))
LARGEST = 160  # numbers in a layer's output
PROBED = 211  # samples in a probe: more than any layer has channels, or a convolution takes them for channels


class Draw:
    """A random critic as it grows: its layers so far, for repeats, and the source of chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.layers: list[nn.Module] = []

    def critic(self) -> tuple[nn.Module, tuple[int, ...]]:
        shape = self.chance.choice(STARTS)
        chain, _ = self.chain(shape, self.chance.randint(1, 6), depth=0)
        return nn.Sequential(*chain).eval(), shape

    def chain(self, shape: tuple[int, ...], count: int, *, depth: int) -> tuple[list[nn.Module], tuple[int, ...]]:
        chain: list[nn.Module] = []
        while len(chain) < count:
            layer = self.layer(shape, depth)
            after = shape_after(layer, shape)
            if after is not None:
                chain.append(layer)
                self.layers.append(layer)
                shape = after
        return chain, shape

    def layer(self, shape: tuple[int, ...], depth: int) -> nn.Module:
        pick = self.chance.random()
        if self.layers and pick < 0.15:
            return self.chance.choice(self.layers)
        if depth < 2 and pick < 0.3:
            return self.block(shape, depth)
        if pick < 0.55:
            return self.activation(shape)
        return self.chance.choice((self.weighted, self.weighted, self.pooling, self.reshaping))(shape)

    def block(self, shape: tuple[int, ...], depth: int) -> nn.Module:
        branches = [nn.Sequential(*self.chain(shape, self.chance.randint(1, 3), depth=depth + 1)[0]) for _ in range(2)]
        kind = self.chance.choice(("averaged", "concatenated", "residual", "shortcut"))
        if kind == "averaged":
            block = Averaged(branches[0])
            block.balance.data.fill_(self.chance.uniform(-2, 2))
            return block
        if kind == "concatenated":
            return Concatenated(*branches)
        return Residual(*branches) if kind == "shortcut" else Residual(branches[0])

    def activation(self, shape: tuple[int, ...]) -> nn.Module:
        inplace = self.chance.random() < 0.3
        slope, width = self.chance.uniform(-3, 3), self.chance.uniform(0.2, 3)
        prelu = nn.PReLU(self.chance.choice((1, shape[0])), init=slope)
        return self.chance.choice(
            (
                nn.ReLU(inplace),
                nn.ReLU6(inplace),
                nn.LeakyReLU(slope, inplace),
                prelu,
                nn.RReLU(0.1, abs(slope) + 0.1),
                nn.ELU(slope),
                nn.CELU(width),
                nn.SELU(inplace),
                nn.Softplus(slope or 1.0, 40),
                nn.Softplus(width, self.chance.choice((1, 5, 20))),
                nn.Softsign(),
                nn.Softshrink(width),
                nn.Tanh(),
                nn.Tanhshrink(),
                nn.Hardtanh(-width, width),
                nn.Sigmoid(),
                nn.LogSigmoid(),
                nn.Hardsigmoid(),
                nn.Hardswish(),
                nn.SiLU(),
                nn.GELU(self.chance.choice(("none", "tanh"))),
                nn.Mish(),
                MaxMin(),
                GroupSort(self.chance.randint(2, 4)),
            )
        )

    def weighted(self, shape: tuple[int, ...]) -> nn.Module:
        axes = len(shape) - 1
        if axes == 0 or self.chance.random() < 0.2:
            plain = [each for each in self.layers if type(each) is nn.Linear and "weight" in each._parameters]
            same = [each for each in plain if each.in_features == shape[-1]]
            layer = nn.Linear(shape[-1], self.chance.choice((1, 2, 5, shape[-1])))
            if same and self.chance.random() < 0.5:
                layer = nn.Linear(shape[-1], same[0].out_features)
                layer.weight = same[0].weight
            return self.norms(layer)
        if self.chance.random() < 0.25:
            return self.batch_norm(shape)
        return self.norms(self.convolution(shape, axes))

    def convolution(self, shape: tuple[int, ...], axes: int) -> nn.Module:
        def each(low: int, high: int) -> tuple[int, ...]:
            return tuple(self.chance.randint(low, high) for _ in range(axes))

        groups = self.chance.choice([k for k in (1, 2, 3) if shape[0] % k == 0])
        out = groups * self.chance.randint(1, 2)
        if self.chance.random() < 0.3:
            kind: Any = (nn.ConvTranspose1d, nn.ConvTranspose2d)[axes - 1]
            stride = each(1, 3)
            return kind(shape[0], out, each(1, 3), stride, each(0, 1), groups=groups, dilation=each(1, 2))
        kind = (nn.Conv1d, nn.Conv2d)[axes - 1]
        mode = self.chance.choice(("zeros", "zeros", "circular", "reflect", "replicate"))
        kernel, padding = each(1, 4), self.chance.choice((each(0, 3), "valid", "same"))
        stride = (1,) * axes if padding == "same" else each(1, 3)
        return kind(shape[0], out, kernel, stride, padding, each(1, 3), groups, padding_mode=mode)

    def norms(self, layer: Any) -> nn.Module:
        with torch.no_grad():
            layer.weight.copy_(layer.weight * self.chance.choice((0.3, 1.0, 3.0)))
        pick = self.chance.random()
        if pick < 0.08:
            parametrizations.spectral_norm(layer)
        elif pick < 0.16:
            parametrizations.weight_norm(layer)
        elif pick < 0.24 and isinstance(layer, nn.Linear):
            self.chance.choice((parametrizations.orthogonal, orthogonalise))(layer)
        elif pick < 0.28 and type(layer) is nn.Conv2d:
            try:
                bound_convolution(layer)
            except UserError:
                return layer
        elif pick < 0.33:
            old_norm(layer, spectral=self.chance.random() < 0.5, stale=self.chance.uniform(2, 10))
        return layer

    def batch_norm(self, shape: tuple[int, ...]) -> nn.Module:
        kind: Any = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        layer = kind(shape[0], eps=self.chance.choice((1e-5, 0.1)), affine=self.chance.random() < 0.7)
        layer.running_var.copy_(torch.rand(shape[0]) * 3)
        layer.running_mean.copy_(torch.randn(shape[0]))
        if layer.affine:
            layer.weight.data.normal_()
        return layer

    def pooling(self, shape: tuple[int, ...]) -> nn.Module:
        axes = len(shape) - 1
        if axes == 0:
            return nn.Dropout()

        size = tuple(self.chance.randint(1, 4) for _ in range(axes))
        stride = tuple(self.chance.randint(1, 4) for _ in range(axes))
        pad = tuple(self.chance.randint(0, each // 2) for each in size)
        ceil = self.chance.random() < 0.4
        if self.chance.random() < 0.1:
            return (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[axes - 1](1)
        if self.chance.random() < 0.5:
            dilation = tuple(self.chance.randint(1, 3) for _ in range(axes))
            return (nn.MaxPool1d, nn.MaxPool2d)[axes - 1](size, stride, pad, dilation, ceil_mode=ceil)
        include = self.chance.random() < 0.5
        if axes == 1:
            return nn.AvgPool1d(size, stride, pad, ceil, include)  # type: ignore[arg-type]
        return nn.AvgPool2d(size, stride, pad, ceil, include, self.chance.choice((None, None, 1, 5)))  # type: ignore[arg-type]

    def reshaping(self, shape: tuple[int, ...]) -> nn.Module:
        choices: list[nn.Module] = [nn.Identity(), nn.Dropout(inplace=True), nn.Flatten()]
        if len(shape) == 3:
            choices += [nn.PixelUnshuffle(2), nn.PixelShuffle(2), nn.ZeroPad2d((1, 0, 2, 1)), nn.Dropout2d()]
        return self.chance.choice(choices)


def old_norm(layer: Any, *, spectral: bool, stale: float) -> None:
    """Torch's older normalisations, after which the attribute `weight` no longer is what the next pass will use."""
    if spectral:
        nn.utils.spectral_norm(layer)
        layer.weight_orig.data.mul_(stale)
    else:
        nn.utils.weight_norm(layer)
        layer.weight_g.data.mul_(stale)


def shape_after(layer: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """What a layer makes of a shape, or None where it does not take it or gives nothing."""
    layer.eval()
    try:
        with torch.no_grad():
            values = layer(torch.randn(PROBED, *shape))
    except (RuntimeError, ValueError, IndexError, NotImplementedError, AssertionError):
        return None
    after = tuple(values.shape)
    size = torch.Size(after[1:]).numel()
    if not torch.isfinite(values).all():  # a maximum over padding alone
        return None
    return after[1:] if after[0] == PROBED and len(after) > 1 and 0 < size <= LARGEST else None


def steepest(critic: Callable[[Tensor], Tensor], shape: tuple[int, ...], *, seed: int, starts: int = 3) -> float:
    """The largest ‖f(x) - f(y)‖ / ‖x - y‖ found: along singular vectors of Jacobians, then by ascent on both ends."""
    rng = torch.Generator().manual_seed(seed)
    size, best = torch.Size(shape).numel(), 0.0
    for start in range(starts):
        x = torch.randn(1, *shape, generator=rng, dtype=torch.float64) * (1, 3, 0.1)[start % 3]
        for step in (1e-4, 1e-1):
            with torch.no_grad():
                moves = step * torch.eye(size, dtype=torch.float64).view(size, *shape)
                jacobian = (critic(x + moves) - critic(x.clone())).flatten(1) / step
                direction = torch.linalg.svd(jacobian.T)[2][0].view(1, *shape)
            best = max(best, 0.0, *ascent(critic, x, x + step * direction))
    return best


def ascent(critic: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, *, steps: int = 12) -> list[float]:
    """The slopes between two points that climb by gradient ascent; points that meet would show rounding alone."""
    near = (x - y).norm().item()
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    found = []
    for _ in range(steps):
        if (x - y).norm() < 0.1 * near:
            break
        slope = (critic(x.clone()) - critic(y.clone())).norm() / (x - y).norm()
        found.append(slope.item())
        if slope == 0 or not slope.requires_grad:
            break
        try:
            grads = torch.autograd.grad(slope, (x, y))
        except RuntimeError:  # a layer that overwrites what another's gradient needs
            break
        with torch.no_grad():
            for end, grad in zip((x, y), grads, strict=True):
                length = grad.norm()
                if length > 0:
                    end += 0.1 * min(1.0, near) * grad / length
    return [value for value in found if value == value]


def trial(seed: int) -> tuple[float, float] | None:
    """The certificate of a random critic and the steepest slope found; None where it is refused."""
    torch.manual_seed(seed)
    critic, shape = Draw(seed).critic()
    try:
        constant = certify(critic.double()).constant
    except UserError:
        return None
    return constant, steepest(critic, shape, seed=seed)


def main() -> None:
    """Trials from the command line."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    outcomes = [(seed, trial(seed)) for seed in range(count)]
    tried = [(seed, *each) for seed, each in outcomes if each]
    beaten = [each for each in tried if each[2] > each[1] * (1 + 1e-9) + 1e-12]
    close = sum(found > 0.5 * constant for _, constant, found in tried)
    print(f"{len(tried)} critics certified, {count - len(tried)} refused, {len(beaten)} beaten, {close} within a half")
    for each in beaten:
        print("seed {}: certified {:.9g}, found {:.9g}".format(*each))


if __name__ == "__main__":
    main()
