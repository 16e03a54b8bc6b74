"""A Lipschitz constant that is proved: layer by layer, in float64, or not at all."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from wassergan.errors import UserError
from wassergan.lipschitz.activations import GroupSort, MaxMin
from wassergan.lipschitz.blocks import Averaged, Concatenated
from wassergan.lipschitz.convolution import convolution_bound, written_out


@dataclass(frozen=True)
class LayerBound:
    """What is proved of one layer.

    Attributes:
        name: of the layer within the critic; empty for the critic itself.
        kind: its class.
        bound: its Lipschitz constant is at most this, in Euclidean norms over all axes of a sample.
        how: what proves it.
    """

    name: str
    kind: str
    bound: float
    how: str


@dataclass(frozen=True)
class Certificate:
    """The layers of a critic in their order; the constant is the product of their bounds."""

    layers: tuple[LayerBound, ...]

    @property
    def constant(self) -> float:
        """A Lipschitz constant of the critic."""
        return math.prod(layer.bound for layer in self.layers)


@runtime_checkable
class Chained(Protocol):
    """A module that only reshapes what goes in and out and applies a chain of layers in between."""

    def lipschitz_chain(self) -> nn.Sequential:
        """The layers, in their order; they must be submodules."""
        ...


@runtime_checkable
class Proved(Protocol):
    """A module whose Lipschitz constant follows from its formula."""

    def lipschitz_proof(self) -> tuple[float, str]:
        """The constant, and what proves it."""
        ...


def certify(critic: nn.Module) -> Certificate:
    """A proved Lipschitz constant of a critic in Euclidean norms, layer by layer.

    Linear layers by their largest singular value, convolutions by `convolution_bound`, both in float64 and of the
    weights as they are now; activations and blocks by their formulas. Rounding within a forward pass is not
    covered: score in float64 where the last digits matter.

    Args:
        critic: layers in an `nn.Sequential`, one of our critics but the residual one, or a module with the
            method `lipschitz_chain` or `lipschitz_proof`.

    Raises:
        UserError: a layer that cannot be bounded, named.
    """
    return Certificate(tuple(_bounds(critic, "")))


def _bounds(module: nn.Module, name: str) -> Iterator[LayerBound]:
    if isinstance(module, Chained):
        chain = module.lipschitz_chain()
        inside = next(path for path, part in module.named_modules() if part is chain)
        yield from _bounds(chain, _joined(name, inside))
    elif _is(module, nn.Sequential):
        for index, layer in module.named_children():
            yield from _bounds(layer, _joined(name, index))
    else:
        if not all(torch.isfinite(weight).all() for weight in module.parameters()):
            raise UserError(f"{_called(module, name)} has no bound", found="weights that are not finite")
        bound, how = _bound(module, name)
        kind = type(module).__name__.removeprefix("Parametrized")
        yield LayerBound(name, kind, bound, how)


def _bound(module: nn.Module, name: str) -> tuple[float, str]:
    if isinstance(module, Proved):
        return module.lipschitz_proof()
    if isinstance(module, Averaged):
        inner = math.prod(layer.bound for layer in _bounds(module.branch, _joined(name, "branch")))
        share = torch.sigmoid(module.balance.detach().double()).item()
        return (1 - share) + share * inner, "convex mean of the identity and the branch"
    if isinstance(module, Concatenated):
        constants = [
            math.prod(layer.bound for layer in _bounds(branch, _joined(name, f"branches.{index}")))
            for index, branch in enumerate(module.branches)
        ]
        return math.hypot(*constants) / len(constants) ** 0.5, "root mean square of the branches"
    for kind, rule in _RULES.items():
        if _is(module, kind):
            try:
                return rule(module)
            except UserError as error:
                raise UserError(f"{_called(module, name)}: {error.what}", found=error.found) from error
    raise UserError(
        f"{_called(module, name)} cannot be bounded",
        mend="use linear and convolution layers with MaxMin, GroupSort or another activation of known slope",
    )


def _is(module: nn.Module, kind: type[nn.Module]) -> bool:
    """A module of a kind that still has the forward pass of that kind: a subclass may have another."""
    return isinstance(module, kind) and type(module).forward is kind.forward


def _called(module: nn.Module, name: str) -> str:
    kind = type(module).__name__
    return f"Layer '{name}' ({kind})" if name else kind


def _joined(*names: str) -> str:
    return ".".join(part for part in names if part)


def _linear(layer: Any) -> tuple[float, str]:
    sigma = torch.linalg.svdvals(layer.weight.detach().double())[0].item()
    return sigma * (1 + 1e-12), "largest singular value in float64"


def _convolution(layer: Any) -> tuple[float, str]:
    return convolution_bound(written_out(layer), stride=layer.stride), "Gram or Fourier bound on every grid"


def _mean_pooling(layer: Any) -> tuple[float, str]:
    size, stride = (
        value if isinstance(value, tuple) else (value, value) for value in (layer.kernel_size, layer.stride)
    )
    if size != stride or layer.padding not in (0, (0, 0)) or layer.ceil_mode or layer.divisor_override is not None:
        raise UserError("only pooling of whole, disjoint tiles has a bound")
    return 1 / math.sqrt(math.prod(size)), "means of disjoint tiles"


def _slope(constant: float) -> Callable[[Any], tuple[float, str]]:
    return lambda layer: (constant, "largest slope of the activation")


# The largest derivative of SiLU is 1.09984 (at 2.3994), that of GELU 1.12890 (at √2).
_RULES: dict[type[nn.Module], Callable[[Any], tuple[float, str]]] = {
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.AvgPool2d: _mean_pooling,
    MaxMin: lambda layer: (1.0, "permutes its input"),
    GroupSort: lambda layer: (1.0, "permutes its input"),
    nn.Identity: lambda layer: (1.0, "keeps its input"),
    nn.Flatten: lambda layer: (1.0, "keeps its input"),
    nn.Unflatten: lambda layer: (1.0, "keeps its input"),
    nn.PixelUnshuffle: lambda layer: (1.0, "permutes its input"),
    nn.ReLU: _slope(1.0),
    nn.LeakyReLU: lambda layer: (max(1.0, abs(layer.negative_slope)), "largest slope of the activation"),
    nn.ELU: lambda layer: (max(1.0, abs(layer.alpha)), "largest slope of the activation"),
    nn.Softplus: _slope(1.0),
    nn.Tanh: _slope(1.0),
    nn.Sigmoid: _slope(0.25),
    nn.SiLU: _slope(1.0999),
    nn.GELU: _slope(1.129),
}
