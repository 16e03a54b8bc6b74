"""Whether a module still computes what its class says, and the weights that its next forward pass will use."""

import copy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
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
# What `register_parametrization` adds to the class that it makes, besides one property for each name.
_MADE = {"__getstate__", "__deepcopy__", "__module__", "__doc__", "__dict__", "__weakref__", "__static_attributes__"}
_MADE |= {"__firstlineno__", "__annotations__"}
_CALLS = {
    name: getattr(nn.Module, name)
    for name in ("__call__", "_call_impl", "_wrapped_call_impl", "_slow_forward", "__getattr__", "__getattribute__")
}
_WEIGHTS = ("weight", "bias", "balance")  # what may be parametrised
_FUNCTIONS = {name: value for name, value in vars(functional).items() if callable(value)}
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
        UserError: not a module, a hook, an attribute that shadows a method, or a compiled copy of the forward pass.
    """
    if not isinstance(module, nn.Module):
        raise UserError(f"{called} is no module", found=type(module).__name__, hint="certify a torch.nn.Module")
    changed = sorted(name for name, method in _CALLS.items() if getattr(type(module), name) is not method)
    if changed:
        raise UserError(f"{called} cannot be bounded", found=f"a class with its own {', '.join(changed)}")
    hooks = [*module._forward_hooks.values(), *_foreign_pre_hooks(module)]
    if hooks:
        raise UserError(
            f"{called} cannot be bounded", found="a forward hook, which may change anything", hint="remove it"
        )
    shadows = sorted(name for name in vars(module) if callable(getattr(type(module), name, None)))
    if getattr(module, "_compiled_call_impl", None) is not None:
        shadows.append("a compiled forward pass")
    if shadows:
        hint = "certify the module before anything of it is replaced"
        raise UserError(
            f"{called} cannot be bounded", found=f"{', '.join(shadows)} replaced on the instance", hint=hint
        )


def refuse_surroundings() -> None:
    """Raise if something outside a critic decides what its forward pass computes, or which weights it uses.

    Raises:
        UserError: hooks on all modules, changed functions of torch, autocast, or cached parametrisations.
    """
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise UserError("Nothing can be certified", found="forward hooks on all modules", hint="remove them")
    changed = sorted(name for name, known in _FUNCTIONS.items() if getattr(functional, name, None) is not known)
    if changed:
        raise UserError("Nothing can be certified", found=f"{', '.join(changed)} replaced in torch.nn.functional")
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        raise UserError(
            "Nothing can be certified under autocast: scores move in steps", hint="leave the autocast block first"
        )
    if parametrize._cache_enabled:
        raise UserError(
            "Nothing can be certified while weights are cached",
            found="torch.nn.utils.parametrize.cached()",
            hint="leave that block first",
        )


def refuse_weights(module: nn.Module, called: str) -> None:
    """Raise unless every parameter and buffer of a layer is an ordinary, finite tensor of at least single precision.

    Raises:
        UserError: a lazy, complex, half-precision or exotic tensor, or a value that is not finite.
    """
    held = [*module.named_parameters(), *module.named_buffers()]
    held += [(name, value) for name, value in vars(module).items() if isinstance(value, Tensor)]
    steps: Any = module.parametrizations if parametrize.is_parametrized(module) else {}
    foreign = sorted(name for name in steps if name not in _WEIGHTS)
    if foreign:
        raise UserError(f"{called} cannot be bounded", found=f"a parametrisation of {', '.join(foreign)}")
    for name in steps:
        _refuse_steps(steps[name], called, name)
    for name, value in held:
        if isinstance(value, nn.UninitializedParameter | nn.UninitializedBuffer):
            raise UserError(f"{called} has no weights yet", hint="call it once before it is certified")
        if type(value) not in (Tensor, nn.Parameter) or value.layout != torch.strided or value.is_quantized:
            raise UserError(f"{called} cannot be bounded", found=f"{name} is a {type(value).__name__} of its own kind")
        if value.is_meta:
            raise UserError(f"{called} has no bound", found=f"{name} on the device 'meta', without values")
        if value.is_complex():
            raise UserError(f"{called} has no bound", found=f"{name} of type {value.dtype}", hint="use real weights")
        if not value.is_floating_point():
            continue
        if value.dtype not in _PRECISIONS:
            hint = "certify critic.float() and score with it"
            raise UserError(
                f"{called} has no bound: its scores move in steps", found=f"{name} in {value.dtype}", hint=hint
            )
        if not torch.isfinite(value).all():
            raise UserError(f"{called} has no bound", found="weights that are not finite")


def weight_of(module: nn.Module, called: str, name: str = "weight") -> Tensor:
    """The weight that the next forward pass will use, float64 on the CPU; the module is not changed.

    Raises:
        UserError: the weight differs from pass to pass, or is not finite.
    """
    with torch.no_grad():
        weight = _next_weight(module, name)
        if not isinstance(weight, Tensor) or weight.is_complex() or weight.dtype not in _PRECISIONS:
            raise UserError(f"{called} has no bound", found=f"{name} of type {getattr(weight, 'dtype', weight)}")
        if not torch.isfinite(weight).all():
            raise UserError(f"{called} has no bound", found="weights that are not finite")
        return weight.detach().cpu().double()


def _next_weight(module: nn.Module, name: str) -> Tensor:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, OldWeightNorm | OldSpectralNorm) and hook.name == name:
            return _recomputed(hook, module)
    if parametrize.is_parametrized(module, name):
        steps: Any = module.parametrizations
        return _parametrised(steps[name], module, name)
    weight: Tensor = getattr(module, name)
    return weight


def _foreign_pre_hooks(module: nn.Module) -> list[Any]:
    """The forward pre-hooks, except those of torch's older weight and spectral normalisation."""
    known = (OldWeightNorm, OldSpectralNorm)
    return [hook for hook in module._forward_pre_hooks.values() if type(hook) not in known]


def _recomputed(hook: Any, module: nn.Module) -> Tensor:
    """The weight that torch's older normalisations will set, computed on copies of their buffers."""
    if isinstance(hook, OldWeightNorm):
        weight: Tensor = hook.compute_weight(module)
        return weight
    parts = {
        f"{hook.name}{end}": getattr(module, f"{hook.name}{end}").detach().clone() for end in ("_orig", "_u", "_v")
    }
    moved: Tensor = hook.compute_weight(SimpleNamespace(**parts), do_power_iteration=module.training)
    return moved


def _refuse_steps(steps: Any, called: str, name: str) -> None:
    """Unknown code may return a different weight at the next pass, whatever it returns now."""
    for path, part in steps.named_modules():
        refuse_altered(part, f"{called}, parametrisation '{path}'")
    for step in steps:
        kind = type(step)
        if kind not in _STEPS:
            raise UserError(
                f"{called} cannot be bounded",
                found=f"a parametrisation of {name} that is not known: {kind.__name__}",
                hint=f"fix the weights with torch.nn.utils.parametrize.remove_parametrizations(layer, '{name}')",
            )
        changed = sorted(part for part, method in methods_of(kind).items() if _STEPS[kind].get(part) is not method)
        if changed:
            raise UserError(f"{called} cannot be bounded", found=f"{', '.join(changed)} replaced in {kind.__name__}")


def methods_of(kind: type[nn.Module]) -> dict[str, Any]:
    """The callables of a class and its bases, except those of `nn.Module`."""
    own = [each for each in kind.__mro__ if each not in (nn.Module, object)]
    names = {name for each in own for name, value in vars(each).items() if callable(value)}
    return {name: getattr(kind, name) for name in names}


def _parametrised(steps: Any, module: nn.Module, name: str) -> Tensor:
    if all(type(step) in _PURE for step in steps):
        weight: Tensor = getattr(module, name)
        return weight
    # The vectors of a power iteration change at every pass, so this works on a copy. A power iteration only increases
    # σ, so the first weight bounds those of later passes.
    with torch.random.fork_rng():
        result: Tensor = copy.deepcopy(steps)()
    return result


_STEPS = {kind: methods_of(kind) for kind in (*_PURE, parametrizations._SpectralNorm)}
