"""A training that starts from the weights of another one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wassergan.errors import UserError, parameter
from wassergan.networks import ProjectionCritic
from wassergan.session.contents import checked, require_sound
from wassergan.session.run_content import load_run
from wassergan.session.state import CheckpointState
from wassergan.storage.checkpoint import load_checkpoint
from wassergan.storage.corruption import corruption_errors
from wassergan.storage.run_folder import RunFolder
from wassergan.training import Trainer

SHOWN = 3  # tensors that are named, of those that do not fit
TOLD = "told."  # of a critic by whose last layer conditions act
HEAD = "head."  # its buffers are those of the data


def state_to_start_from(path: Path) -> CheckpointState:
    """The state in the latest checkpoint of a run folder, or in the file of a saved estimator.

    Raises:
        UserError: there is neither, or it is damaged.
    """
    if path.is_dir():
        return load_run(RunFolder(path))
    if not path.exists():
        raise UserError(
            f"There is no run in {path}", hint=f"give {parameter('init_from')} the folder that `wassergan train` named"
        )
    content = load_checkpoint(path)
    if "estimator" not in content:
        return checked(content)
    with corruption_errors(f"The estimator in {path}", "fit and save it again"):
        state = CheckpointState.from_fit({name: each for name, each in content.items() if name != "estimator"})
        require_sound(state)
        return state


def start_from(trainer: Trainer, state: CheckpointState, path: str, *, log: Callable[[str], None]) -> None:
    """Take over the weights of another training, tensor by tensor, as far as names and shapes are equal.

    A first layer may have another number of inputs, as with other conditions: what is the same in both is taken, and
    the weights of new inputs are 0, so that they have no effect at first; nor have conditions that are new to the last
    layer of a critic. What the generator's head knows of the range of the data stays. Optimisers, averages and the
    count of steps begin anew.

    Args:
        trainer: has not trained yet.
        state: of the other training.
        path: where that lies, for messages.
        log: receives, in a sentence, what was taken and what was not.

    Raises:
        UserError: no layer fits.
    """
    found = {
        "generator": _take(trainer.generator, state.trainer["generator"], inputs_last=True),
        "critic": _take(trainer.critic, state.critic, inputs_last=False),
    }
    _take(trainer.averaged_generator, state.average, inputs_last=True)
    if isinstance(trainer.critic, ProjectionCritic) and not any(name.startswith(TOLD) for name in state.critic):
        trainer.critic.forget()
    if not any(each.layers for each in found.values()):
        raise UserError(
            f"Nothing of {path} fits the networks of this run",
            found="; ".join(f"{name}: {each.missing()}" for name, each in found.items()),
            hint=f"train with {parameter('network', state.settings.network)} and its sizes, "
            f"or leave out {parameter('init_from')}",
        )
    parts = [f"{each.numbers / max(each.all_numbers, 1):.0%} of the {name}'s weights" for name, each in found.items()]
    left = "; ".join(f"of the {name} not {each.missing()}" for name, each in found.items() if each.others)
    log(f"Started from {path} at its step {state.step}: took {' and '.join(parts)}{'; ' + left if left else ''}.")


@dataclass
class _Taken:
    """What was taken of a network: layers with a matrix or a kernel, numbers, and which tensors were not."""

    layers: int = 0
    numbers: int = 0
    all_numbers: int = 0
    others: list[str] = field(default_factory=list)

    def missing(self) -> str:
        """The first tensors that were not taken, and how many more there are."""
        more = len(self.others) - SHOWN
        return ", ".join(self.others[:SHOWN]) + (f" and {more} more" if more > 0 else "")


@torch.no_grad()
def _take(network: nn.Module, held: Mapping[str, Any], *, inputs_last: bool) -> _Taken:
    """Copy what fits; `inputs_last`: conditions come before the other inputs of the first layer, else after them."""
    parameters = {name for name, _ in network.named_parameters()}
    own = network.state_dict()
    first = next((name for name, value in own.items() if name in parameters and value.dim() >= 2), "")
    taken = _Taken()
    for name, value in own.items():
        if name not in parameters and HEAD in f"{name}.":
            continue
        counts = name in parameters
        taken.all_numbers += value.numel() * counts
        other = held.get(name)
        copied = _copy(value, other, is_first=name == first, inputs_last=inputs_last)
        taken.numbers += copied * counts
        taken.layers += bool(copied) and counts and value.dim() >= 2
        if copied < value.numel():
            there = "none there" if other is None else f"{_size(other)} there"
            taken.others.append(f"{name} ({there}, {_size(value)} here)")
    return taken


def _copy(value: Tensor, other: Tensor | None, *, is_first: bool, inputs_last: bool) -> int:
    """Copy a tensor, or the inputs that a first layer has in both; how many numbers were copied."""
    if other is None or other.dtype != value.dtype:
        return 0
    if other.shape == value.shape:
        value.copy_(other)
        return value.numel()
    sizes = [(*each.shape[:1], *each.shape[2:]) for each in (value, other)]
    if not is_first or value.dim() != other.dim() or sizes[0] != sizes[1]:
        return 0
    common = min(value.shape[1], other.shape[1])
    inputs = slice(-common, None) if inputs_last else slice(common)
    value.zero_()
    value[:, inputs] = other[:, inputs].to(value.device)
    return value[:, inputs].numel()


def _size(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"
