"""Proved Lipschitz constants: layer by layer in float64, or a refusal."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import FunctionType
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from wassergan.errors import UserError
from wassergan.lipschitz.blocks import Averaged, Concatenated, Residual
from wassergan.lipschitz.rules import RULES
from wassergan.lipschitz.shapes import joined_alike
from wassergan.lipschitz.soundness import (
    kind_of,
    methods_of,
    refuse_altered,
    refuse_surroundings,
    refuse_weights,
    weight_of,
)

_EPS = 2.0**-52
_NO_SETTINGS = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RuntimeError)
_BLOCKS = (Averaged, Concatenated, Residual)
# Layers that may return their input itself instead of a new tensor.
_HANDED_ON: tuple[type[nn.Module], ...] = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
)
_MATRICES: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MATRICES += (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_HANDED_ON += (nn.AlphaDropout, nn.FeatureAlphaDropout, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle)


@dataclass(frozen=True)
class LayerBound:
    """The proved bound of one layer.

    Attributes:
        name: of the layer within the critic; empty for the critic itself.
        kind: its class.
        bound: its Lipschitz constant is at most this, in Euclidean norms over all axes of a sample.
        how: the proof.
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
        """A Lipschitz constant of the critic, the product rounded up."""
        return product(layer.bound for layer in self.layers)


@runtime_checkable
class Chained(Protocol):
    """A module that only reshapes its input and output and applies a chain of layers in between."""

    def lipschitz_chain(self) -> nn.Sequential:
        """The layers, in their order; they must be submodules."""
        ...


@runtime_checkable
class Proved(Protocol):
    """A module whose Lipschitz constant follows from its formula."""

    def lipschitz_proof(self) -> tuple[float, str]:
        """The constant and its proof."""
        ...


@dataclass(frozen=True)
class _Use:
    """One use of a layer: a module that occurs twice in a critic is used twice."""

    name: str
    module: nn.Module
    above: tuple[nn.Module, ...] = ()

    @property
    def kind(self) -> type[nn.Module]:
        return kind_of(self.module)

    @property
    def called(self) -> str:
        kind = (self.kind if isinstance(self.module, nn.Module) else type(self.module)).__name__
        return f"Layer '{self.name}' ({kind})" if self.name else kind


def certify(critic: nn.Module) -> Certificate:
    """A proved Lipschitz constant of a critic in Euclidean norms over a sample, from every use of its layers.

    It holds for the next forward pass, with the weights and the mode that the critic has then. The critic is not
    changed. A layer counts as often as it is used. Unknown classes, hooks, and methods replaced on an instance are
    refused. The bounds hold for inputs of every size, axis 0 counting samples, and are rounded up; rounding within a
    forward pass is not covered: score in float64 where the last digits matter.

    Args:
        critic: layers in an `nn.Sequential`, blocks of this package, one of our critics but the residual one, or a
            module whose own class says `lipschitz_chain` or `lipschitz_proof`.

    Raises:
        UserError: a layer that cannot be bounded, named.
    """
    if not isinstance(critic, nn.Module):
        raise UserError("Only a module has a Lipschitz constant", found=type(critic).__name__)
    refuse_surroundings()
    try:
        eps = _finest(critic)
        certificate = Certificate(tuple(_bound(use, eps) for use in _uses(critic, "", ())))
    except RecursionError:
        raise UserError("The critic cannot be bounded", found="blocks nested too deep to follow") from None
    if not math.isfinite(certificate.constant):
        raise UserError("The critic has no finite bound", found="a product of bounds that overflows")
    return certificate


def product(bounds: Any) -> float:
    """The product of non-negative numbers, rounded up; infinite on overflow."""
    exact = Fraction(1)
    for bound in bounds:
        if math.isinf(bound):
            return math.inf
        exact *= Fraction(bound)
    try:
        nearest = float(exact)
    except OverflowError:
        return math.inf
    return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)


def _finest(critic: nn.Module) -> float:
    """The relative rounding of scores: single precision only if a weight matrix admits nothing else."""
    held = [each for each in (*critic.parameters(), *critic.buffers()) if each.is_floating_point()]
    if any(each.dtype != torch.float32 for each in held):
        return _EPS
    matrices = any(type(part) in _MATRICES or kind_of(part) in _MATRICES for part in critic.modules())
    return torch.finfo(torch.float32).eps if matrices else _EPS


def _uses(module: nn.Module, name: str, above: tuple[nn.Module, ...]) -> Iterator[_Use]:
    """The uses of layers in the order of the forward pass."""
    use = _Use(name, module, above)
    refuse_altered(module, use.called if isinstance(module, nn.Module) else f"Layer '{name}'")
    if any(module is each for each in above):
        raise UserError(f"{use.called} cannot be bounded", found="a module that holds itself")
    above = (*above, module)
    kind = use.kind
    if isinstance(module, Chained):
        _refuse_inherited(use, "lipschitz_chain")
        chain = module.lipschitz_chain()
        inside = next((path for path, part in module.named_modules() if part is chain), None)
        if not inside:
            raise UserError(f"{use.called} cannot be bounded", found="a lipschitz_chain that is no submodule")
        yield from _uses(chain, _joined(name, inside), above)
    elif kind is nn.Sequential:
        _refuse_changed(kind, use.called)
        for index, layer in module._modules.items():
            yield from _uses(layer, _joined(name, index), above)  # type: ignore[arg-type]
    else:
        yield use


def _bound(use: _Use, eps: float) -> LayerBound:
    module, kind = use.module, use.kind
    refuse_weights(module, use.called)
    if isinstance(module, Proved):
        _refuse_inherited(use, "lipschitz_proof")
        bound, how = _proof(use)
    elif kind in _BLOCKS:
        _refuse_changed(kind, use.called)
        bound, how = _block(use, eps)
    elif kind in RULES:
        _refuse_changed(kind, use.called)
        try:
            bound, how = RULES[kind](module, use.called, eps)
        except UserError as error:
            if error.what.startswith(use.called):
                raise
            raise UserError(f"{use.called}: {error.what}", found=error.found, hint=error.hint) from error
        except _NO_SETTINGS as error:
            reason = f"settings that no forward pass takes: {str(error).splitlines()[0] if str(error) else error!r}"
            raise UserError(f"{use.called} cannot be bounded", found=reason) from error
    else:
        raise UserError(
            f"{use.called} cannot be bounded",
            hint="use linear and convolution layers with MaxMin, GroupSort or another activation of known slope",
        )
    if not (isinstance(bound, int | float) and 0 <= bound < math.inf):
        raise UserError(f"{use.called} has no bound", found=f"{bound}")
    return LayerBound(use.name, kind.__name__, float(bound), how)


def _proof(use: _Use) -> tuple[float, str]:
    module: Any = use.module
    found = module.lipschitz_proof()
    if not (isinstance(found, tuple) and len(found) == 2):
        raise UserError(
            f"{use.called} has no bound",
            found=f"{found!r}",
            hint="return (constant, how it is proved) from lipschitz_proof",
        )
    return found[0], str(found[1])


def _block(use: _Use, eps: float) -> tuple[float, str]:
    module: Any = use.module
    if use.kind is Concatenated:
        _refuse_changed(nn.ModuleList, use.called)
        refuse_altered(module.branches, use.called)
        if kind_of(module.branches) is not nn.ModuleList or not len(module.branches):
            raise UserError(f"{use.called} cannot be bounded", found="branches that are no list of modules")
        constants = [_branch(branch, use, f"branches.{k}", eps)[0] for k, branch in enumerate(module.branches)]
        return math.hypot(*constants) / len(constants) ** 0.5 * (1 + 8 * _EPS), "root mean square of the branches"
    inner, layers = _branch(module.branch, use, "branch", eps)
    short, others = _branch(module.shortcut, use, "shortcut", eps) if use.kind is Residual else (1.0, [])
    if not _joinable(layers, others):
        raise UserError(
            f"{use.called} cannot be bounded",
            found="a branch that does not give the shape of what it is added to",
            hint="give both the same shape",
        )
    if use.kind is Residual:
        return (short + inner) * (1 + 2 * _EPS), "sum of the shortcut and the branch"
    balance = weight_of(module, use.called, "balance")
    if balance.dim():
        raise UserError(f"{use.called} cannot be bounded", found=f"a balance of shape {tuple(balance.shape)}")
    share = torch.sigmoid(balance).item()
    return ((1 - share) + share * inner) * (1 + 8 * _EPS), "convex mean of the identity and the branch"


def _branch(branch: Any, use: _Use, path: str, eps: float) -> tuple[float, list[_Use]]:
    """The constant of a branch and its layers, none of which may write into what the other branches read."""
    layers = list(_uses(branch, _joined(use.name, path), (*use.above, use.module)))
    aliased = True
    for layer in layers:
        if aliased and getattr(layer.module, "inplace", False):
            raise UserError(
                f"{layer.called} cannot be bounded",
                found="a layer that overwrites the input of its block",
                hint="pass inplace=False",
            )
        aliased = aliased and (layer.kind in _HANDED_ON or layer.kind not in RULES)
    return product(_bound(layer, eps).bound for layer in layers), layers


def _joinable(branch: list[_Use], shortcut: list[_Use]) -> bool:
    """Whether the summands have one shape, as far as that can be determined: nested blocks keep the shape of a part."""
    chains = [[part for use in chain for part in _flat(use)] for chain in (branch, shortcut)]
    if any(isinstance(module, Proved) for chain in chains for _, module in chain):
        return False
    return joined_alike(*chains)


def _flat(use: _Use) -> Iterator[tuple[type[nn.Module], Any]]:
    """The layers that give a use its shape."""
    module: Any = use.module
    if use.kind is Residual:
        for inner in _uses(module.branch, use.name, (*use.above, module)):
            yield from _flat(inner)
    elif use.kind is not Averaged:
        yield use.kind, module


def _refuse_inherited(use: _Use, method: str) -> None:
    """A class's own claim does not extend to a subclass, which may compute something else."""
    if method not in vars(use.kind):
        raise UserError(
            f"{use.called} cannot be bounded",
            found=f"{method} of a base class, whose forward pass may be another",
            hint=f"define {method} in {use.kind.__name__} itself",
        )
    for owner in use.kind.__mro__:
        if owner in (nn.Module, object, Protocol):
            continue
        for name, value in vars(owner).items():
            written = getattr(value, "__qualname__", None) if isinstance(value, FunctionType) else None
            if written is not None and not written.startswith(f"{owner.__qualname__}."):
                raise UserError(f"{use.called} cannot be bounded", found=f"{name} put into {owner.__name__} later")


_KNOWN = {kind: methods_of(kind) for kind in (*RULES, *_BLOCKS, nn.Sequential, nn.ModuleList)}


def _refuse_changed(kind: type[nn.Module], called: str) -> None:
    """A method of a known class that was replaced for all of its instances."""
    now = methods_of(kind)
    changed = sorted(name for name, method in now.items() if _KNOWN[kind].get(name) is not method)
    if changed:
        raise UserError(f"{called} cannot be bounded", found=f"{', '.join(changed)} replaced in {kind.__name__}")


def _joined(*names: str) -> str:
    return ".".join(part for part in names if part)
