"""What a checkpoint holds, held against what its settings describe before anything is made of it."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from wassergan.building import constraint_of, networks_of
from wassergan.data import AnyCodec, TableCodec
from wassergan.errors import UserError
from wassergan.settings import TrainSettings

NETWORKS = ("average", "generator", "critic")


def require_described(
    settings: TrainSettings,
    shape: tuple[int, ...],
    codec: AnyCodec,
    state: Mapping[str, Any],
    *,
    context_dim: int = 0,
) -> None:
    """Refuse a trainer's state whose tensors are not those that settings describe, one by one, by shape and type.

    The networks are built on the meta device, where they take no memory, whatever sizes a stranger wrote.

    Args:
        settings: resolved.
        shape: one sample in model space.
        codec: of the data.
        state: `average` and `critic`, and `generator` if it is there.
        context_dim: numbers in a condition's vector.

    Raises:
        UserError: names the first tensor that is missing, foreign, or of another shape or type.
    """
    _require_smaller(settings, shape, codec, state["average"])
    generator, critic = networks_of(settings, shape, codec, context_dim=context_dim, device="meta")
    constraint_of(settings).parametrise(critic)
    described: dict[str, nn.Module] = {"average": generator, "generator": generator, "critic": critic}
    for part in NETWORKS:
        if part != "generator" or part in state:
            _require_equal(part, described[part].state_dict(), state[part])


def _require_smaller(settings: TrainSettings, shape: tuple[int, ...], codec: AnyCodec, held: Mapping[str, Any]) -> None:
    """Even what is built without its numbers takes some memory: for every layer, and for every entry of a head."""
    numbers = sum(each.numel() for each in held.values() if isinstance(each, Tensor))
    layers = max(len(settings.generator_widths or ()), len(settings.critic_widths or ()))
    if not 0 < math.prod(shape) <= numbers or min(shape) < 1:
        raise _foreign(f"samples of shape {shape} from {numbers} weights")
    if isinstance(codec, TableCodec) and (codec.width,) != shape:
        raise _foreign(f"columns of {codec.width} numbers in rows of {math.prod(shape)}")
    if layers > len(held):
        raise _foreign(f"{layers} layers, and {len(held)} tensors")


def _require_equal(part: str, described: Mapping[str, Tensor], held: Mapping[str, Any]) -> None:
    for name in [*described, *held]:
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
        mend="use another checkpoint of the run (--checkpoint best, or a step number)",
    )
