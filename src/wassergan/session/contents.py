"""What a checkpoint holds, held against what its settings describe before anything is made of it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.config.settings import ResolvedSettings
from wassergan.data import AnyCodec, AnyConditions, ArrayConditions
from wassergan.errors import UserError, parameter
from wassergan.modality import MODALITIES, modality_with
from wassergan.modality.tables import columns_fault
from wassergan.networks import GivenGenerator, QuantileMapped
from wassergan.session.build import constraint_of, networks_of
from wassergan.session.state import CheckpointState
from wassergan.storage.checkpoint import another_checkpoint
from wassergan.storage.corruption import corruption_errors
from wassergan.storage.tick_distance import LABELS
from wassergan.training import TwoPoint

NETWORKS = ("average", "generator", "critic")
LARGEST_COUNT = 2**53
SHARED, FREE = 64, 2**22  # numbers in a sample for each weight of a network of convolutions, and numbers in any case


def checked(content: Mapping[str, Any]) -> CheckpointState:
    """The state in a run's checkpoint, if `train` could have written it.

    Raises:
        UserError: as `require_sound` does.
    """
    with corruption_errors("The checkpoint", another_checkpoint()):
        state = CheckpointState.from_content(content)
    require_sound(state)
    return state


def require_sound(state: CheckpointState) -> None:
    """Refuse a state that no training leaves behind: its shape, counts, tensors, and codec are held to its settings.

    Raises:
        UserError: names the first thing that is missing, out of range, or of another shape or type.
    """
    with corruption_errors("The checkpoint", another_checkpoint()):
        modality = MODALITIES.get(state.kind)
        if modality is None or len(state.shape) != modality.axes or not all(map(_is_count, state.shape)):
            raise _foreign(f"samples of kind {state.kind!r} and shape {state.shape!r}"[:200])
        conditions, trainer = state.conditions, state.trainer
        codec = modality.own(state.codec)
        if conditions and (fault := _conditions_fault(conditions)):
            raise _foreign(fault[:200])
        require_described(state.settings, state.shape, codec, trainer, given=state.context_shape)
        for part, network in (("generator_optimizer", "generator"), ("critic_optimizer", "critic")):
            _require_moments(part, trainer[part], trainer[network])
        _require_counts(state)


def _conditions_fault(conditions: AnyConditions) -> str:
    """What conditions from a file hold that no data have; empty for nothing."""
    if not isinstance(conditions, ArrayConditions):
        return columns_fault(conditions.codec)
    fault = conditions.fault() or MODALITIES["field"].fault(conditions.codec, conditions.array_shape)
    return f"{fault}, of conditions" if fault else ""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _require_counts(held: CheckpointState) -> None:
    """Steps, seconds and the like are what they can be."""
    state, best = held.trainer, held.best
    steps, seconds = state["timed"]
    rules: dict[str, tuple[Callable[[Any], bool], Any]] = {
        "step": (_is_count, state["step"]),
        "served samples": (_is_count, state["batches"]["served"]),
        "timed steps": (_is_count, steps),
        "timed seconds": (_is_length, seconds),
        "seconds": (_is_length, state["seconds"]),
        "elapsed seconds": (_is_length, state["elapsed_seconds"]),
        "rate scale": (_is_length, state.get("lr_scale", 1.0)),
        "best step": (_is_count, best.step),
        "best distance": (lambda value: value == float("inf") or _is_length(value), best.distance),
        "best metric": (lambda value: value in tuple(LABELS), best.metric),
        "counts": (lambda value: all(map(_is_count, value)), state["statistics"]["counts"].values()),
        "sums": (lambda value: all(map(_is_number, value)), state["statistics"]["sums"].values()),
        "random states": (lambda value: all(map(_is_random_state, value)), (state["latent_rng"], state["penalty_rng"])),
        "rollbacks": (lambda value: all(map(_is_rollback, value)), held.rollbacks),
        "fingerprint": (lambda value: isinstance(value, dict), held.fingerprint),
    }
    for name, (holds, value) in rules.items():
        if not holds(value):
            raise _foreign(f"{name} {value!r}"[:200])


def _is_number(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point()


def _is_random_state(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.uint8 and value.dim() == 1


def _is_rollback(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(_is_count(value[name]) for name in ("step", "diverged"))
        and _is_length(value["lr_scale"])
        and isinstance(value["found"], str)
    )


def _require_moments(part: str, held: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    """Two moments of every weight that is trained, in order, and its steps."""
    states, (group,) = held["state"], held["param_groups"]
    shapes = [each.shape for each in weights.values()]
    for number, each in states.items():
        mean, square, step = (each[name] for name in ("exp_avg", "exp_avg_sq", "step"))
        if mean.shape not in shapes or square.shape != mean.shape or step.shape != () or not _is_count(number):
            raise _foreign(f"moments of shape {tuple(mean.shape)} in the {part}")
    lrs = (group["lr"], *group["betas"])
    if len(states) > len(weights) or not all(map(_is_length, lrs)) or len(lrs) != 3:
        raise _foreign(f"{len(states)} moments and rates of {lrs} in the {part}"[:200])


def require_described(
    settings: ResolvedSettings,
    shape: tuple[int, ...],
    codec: AnyCodec,
    state: Mapping[str, Any],
    *,
    given: tuple[int, ...] = (),
) -> None:
    """Refuse a trainer's state whose tensors are not those that settings describe, one by one, by shape and type.

    The networks are built on the meta device, where they take no memory, whatever sizes a stranger wrote.

    Args:
        settings: resolved.
        shape: one sample in model space.
        codec: of the data.
        state: `average` and `critic`, and `generator` if it is there.
        given: the shape of a condition.

    Raises:
        UserError: names the first tensor that is missing, foreign, or of another shape or type.
    """
    _require_smaller(settings, shape, state["average"])
    if fault := modality_with(codec).fault(codec, shape):
        raise _foreign(fault[:200])
    try:
        generator, critic = networks_of(settings, shape, codec, context_shape=given, device="meta")
        constraint_of(settings).parametrise(critic)
        led = TwoPoint(shape, settings.two_point)
    except UserError as error:
        raise _foreign(str(error)) from error
    described: dict[str, nn.Module] = {"average": generator, "generator": generator, "critic": critic}
    for part in NETWORKS:
        if part != "generator" or part in state:
            _require_equal(part, described[part].state_dict(), state[part], open_to=_later(described[part]))
    if led.weight and "generator" in state:
        _require_equal("two-point statistics", led.state_dict(), state["two_point"], open_to=set())


def require_readable(
    settings: ResolvedSettings,
    shape: tuple[int, ...],
    codec: AnyCodec,
    state: Mapping[str, Any],
    *,
    given: tuple[int, ...] = (),
) -> None:
    """Refuse, before the first step, a run whose checkpoints would be refused; arguments as of `require_described`.

    Raises:
        UserError: what a checkpoint would be refused for.
    """
    try:
        require_described(settings, shape, codec, state, given=given)
    except UserError as error:
        raise UserError(
            "Checkpoints of this run could not be read again",
            found=str(error),
            hint=f"take a larger network, or {parameter('maps')}",
        ) from error


def _require_smaller(settings: ResolvedSettings, shape: tuple[int, ...], held: Mapping[str, Any]) -> None:
    """Even what is built without its numbers takes some memory: for every layer, and for every entry of a head.

    The weights of convolutions are shared by all places of a sample, so there samples may be larger than all weights.
    """
    numbers = sum(each.numel() for each in held.values() if isinstance(each, Tensor))
    layers = max(len(settings.generator_widths), len(settings.critic_widths))
    largest = max(SHARED * numbers, FREE) if settings.network in ("conv", "resnet") else numbers
    if not 0 < math.prod(shape) <= largest or min(shape) < 1:
        raise _foreign(f"samples of shape {shape} from {numbers} weights")
    if layers > len(held):
        raise _foreign(f"{layers} layers, and {len(held)} tensors")


def _later(network: nn.Module) -> set[str]:
    """Names of what older checkpoints lack."""
    parts = (
        (path, part) for path, part in network.named_modules() if isinstance(part, GivenGenerator | QuantileMapped)
    )
    return {f"{path}.{name}".lstrip(".") for path, part in parts for name in part.later}


def _require_equal(part: str, described: Mapping[str, Tensor], held: Mapping[str, Any], *, open_to: set[str]) -> None:
    for name in [*described, *held]:
        if name not in held and name in open_to:
            continue
        if name not in held:
            raise _foreign(f"no {name} of the {part}")
        if name not in described:
            raise _foreign(f"a {name} of the {part}")
        wanted, found = (_look(each[name]) for each in (described, held))
        if wanted != found:
            raise _foreign(f"{name} of the {part} is {found}, not {wanted}")


def _look(value: Any) -> str:
    """Shape and type in words."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"{'x'.join(map(str, value.shape)) or 'one'} {str(value.dtype).removeprefix('torch.')}"


def _foreign(found: str) -> UserError:
    return UserError(
        "The checkpoint does not hold what its settings describe",
        found=found,
        hint=another_checkpoint(),
    )
