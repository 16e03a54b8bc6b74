"""Whether a module still computes what its class says, and with which weights its next forward pass will."""

import copy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.spectral_norm import SpectralNorm as OldSpectralNorm
from torch.nn.utils.weight_norm import WeightNorm as OldWeightNorm

from wassergan.errors import UserError
from wassergan.lipschitz.convolution import AlmostOrthogonal
from wassergan.lipschitz.orthogonal import Orthogonal
from wassergan.lipschitz.spectral import SpectralNorm

# Parametrisations whose weight depends on their parameters and buffers alone, and that change nothing when computed.
_PURE = (AlmostOrthogonal, Orthogonal, SpectralNorm, parametrizations._WeightNorm, parametrizations._Orthogonal)
# What `register_parametrization` puts into the class that it makes, beside one property for each name.
_MADE = {"__getstate__", "__deepcopy__", "__module__", "__doc__", "__dict__", "__weakref__", "__static_attributes__"}
_MADE |= {"__firstlineno__", "__annotations__"}
_CALLS = {name: getattr(nn.Module, name) for name in ("__call__", "_call_impl", "_wrapped_call_impl", "__getattr__")}
_PRECISIONS = (torch.float32, torch.float64)


def kind_of(module: nn.Module) -> type[nn.Module]:
    """The class that says what a module computes: its own, or the one that was parametrised."""
    kind = type(module)
    made = parametrize.is_parametrized(module) and kind.__name__ == f"Parametrized{kind.__bases__[0].__name__}"
    if not made or len(kind.__bases__) != 1:
        return kind
    names = set(getattr(module.parametrizations, "_modules", ()))
    return kind.__bases__[0] if set(vars(kind)) <= _MADE | names else kind


def refuse_altered(module: Any, called: str) -> None:
    """Raise unless calling the module runs the forward pass of its class and nothing else.

    Raises:
        UserError: no module, a hook, an attribute that shadows a method, or a compiled copy of the forward pass.
    """
    if not isinstance(module, nn.Module):
        raise UserError(f"{called} is no module", found=type(module).__name__, mend="certify a torch.nn.Module")
    if any(getattr(nn.Module, name) is not method for name, method in _CALLS.items()):
        raise UserError("Nothing can be certified", found="a changed torch.nn.Module")
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise UserError("Nothing can be certified", found="forward hooks on all modules", mend="remove them")
    hooks = [*module._forward_hooks.values(), *_foreign_pre_hooks(module)]
    if hooks:
        raise UserError(
            f"{called} cannot be bounded", found="a forward hook, which may change anything", mend="remove it"
        )
    shadows = sorted(name for name in vars(module) if callable(getattr(type(module), name, None)))
    if getattr(module, "_compiled_call_impl", None) is not None:
        shadows.append("a compiled forward pass")
    if shadows:
        mend = "certify the module before anything of it is replaced"
        raise UserError(
            f"{called} cannot be bounded", found=f"{', '.join(shadows)} replaced on the instance", mend=mend
        )


def refuse_weights(module: nn.Module, called: str) -> None:
    """Raise unless every parameter and buffer of a layer is an ordinary, finite tensor of at least single precision.

    Raises:
        UserError: a lazy, complex, half-precision or exotic tensor, or a value that is not finite.
    """
    held = [*module.named_parameters(), *module.named_buffers()]
    held += [(name, value) for name, value in vars(module).items() if isinstance(value, Tensor)]
    for name, value in held:
        if isinstance(value, nn.UninitializedParameter | nn.UninitializedBuffer):
            raise UserError(f"{called} has no weights yet", mend="call it once before it is certified")
        if type(value) not in (Tensor, nn.Parameter) or value.layout != torch.strided or value.is_quantized:
            raise UserError(f"{called} cannot be bounded", found=f"{name} is a {type(value).__name__} of its own kind")
        if value.is_meta:
            raise UserError(f"{called} has no bound", found=f"{name} on the device 'meta', without values")
        if value.is_complex():
            raise UserError(f"{called} has no bound", found=f"{name} of type {value.dtype}", mend="use real weights")
        if not value.is_floating_point():
            continue
        if value.dtype not in _PRECISIONS:
            mend = "certify critic.float() and score with it"
            raise UserError(
                f"{called} has no bound: its scores move in steps", found=f"{name} in {value.dtype}", mend=mend
            )
        if not torch.isfinite(value).all():
            raise UserError(f"{called} has no bound", found="weights that are not finite")


def weight_of(module: nn.Module, called: str, name: str = "weight") -> Tensor:
    """The weight that the next forward pass will use, float64 on the CPU; nothing about the module changes.

    Raises:
        UserError: the weight differs from pass to pass, or is not finite.
    """
    with torch.no_grad():
        weight = _next_weight(module, called, name)
        if not isinstance(weight, Tensor) or weight.is_complex() or weight.dtype not in _PRECISIONS:
            raise UserError(f"{called} has no bound", found=f"{name} of type {getattr(weight, 'dtype', weight)}")
        if not torch.isfinite(weight).all():
            raise UserError(f"{called} has no bound", found="weights that are not finite")
        return weight.detach().cpu().double()


def _next_weight(module: nn.Module, called: str, name: str) -> Tensor:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, OldWeightNorm | OldSpectralNorm) and hook.name == name:
            return _recomputed(hook, module)
    if parametrize.is_parametrized(module, name):
        steps: Any = module.parametrizations
        return _parametrised(steps[name], module, called, name)
    weight: Tensor = getattr(module, name)
    return weight


def _foreign_pre_hooks(module: nn.Module) -> list[Any]:
    """The forward pre-hooks but those of torch's older weight and spectral normalisation."""
    known = (OldWeightNorm, OldSpectralNorm)
    return [hook for hook in module._forward_pre_hooks.values() if type(hook) not in known]


def _recomputed(hook: Any, module: nn.Module) -> Tensor:
    """What torch's older normalisations will set the weight to, from copies of what they would move."""
    if isinstance(hook, OldWeightNorm):
        weight: Tensor = hook.compute_weight(module)
        return weight
    parts = {
        f"{hook.name}{end}": getattr(module, f"{hook.name}{end}").detach().clone() for end in ("_orig", "_u", "_v")
    }
    moved: Tensor = hook.compute_weight(SimpleNamespace(**parts), do_power_iteration=module.training)
    return moved


def _parametrised(steps: Any, module: nn.Module, called: str, name: str) -> Tensor:
    for path, part in steps.named_modules():
        refuse_altered(part, f"{called}, parametrisation '{path}'")
    if all(type(step) in _PURE for step in steps):
        weight: Tensor = getattr(module, name)
        return weight
    # Some move at every pass, like the vectors of a power iteration: what is computed here is computed on a copy.
    with torch.random.fork_rng():
        twin = copy.deepcopy(steps)
        first, second = twin().clone(), twin().clone()
    steady = all(type(step) in (*_PURE, parametrizations._SpectralNorm) for step in steps)
    # A power iteration only lets σ grow, so the first weight bounds those of later passes.
    if not steady and not torch.equal(first, second):
        raise UserError(f"{called} cannot be bounded", found=f"a parametrisation that changes {name} at every pass")
    result: Tensor = first
    return result
