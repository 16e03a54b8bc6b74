"""Training that went wrong: what stopped being finite, why that may be, and what to try."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wassergan.data import Source
from wassergan.errors import WorkError, parameter

SCANNED_SAMPLES = 2**18
SCANNED_AT_A_TIME = 4096
EXTREME_DEVIATIONS = 1e3  # in model space, where data have deviation 1
LOWER = 0.1


class DivergedError(WorkError):
    """Numbers of the training stopped being finite.

    Args:
        step: of the generator, at the end of which it was found.
        found: what stopped being finite.
        hint: what to try.
        by_data: whether the data themselves hold what broke it, so that lower rates do not help.
    """

    def __init__(self, step: int, *, found: str, hint: str, by_data: bool) -> None:
        super().__init__(f"Training diverged before step {step}", found=found, hint=hint)
        self.step, self.by_data = step, by_data


@dataclass(frozen=True)
class Recipe:
    """What of a training bears on its stability.

    Args:
        generator_lr: learning rate now.
        critic_lr: learning rate now.
        precision: `float32` or `bf16`.
        constraint: name of the critic's constraint.
    """

    generator_lr: float
    critic_lr: float
    precision: str
    constraint: str


def require_finite(
    step: int, statistics: Mapping[str, Tensor], networks: Mapping[str, nn.Module], source: Source, recipe: Recipe
) -> None:
    """Look for what stopped being finite since the last tick.

    Args:
        step: of the generator.
        statistics: sums of what was measured since then, by name.
        networks: by the name of their weights; the last update may have broken some that no loss has met yet.
        source: of the training samples.
        recipe: at this step.

    Raises:
        DivergedError: names what it is.
    """
    broken = [name for name, value in statistics.items() if not torch.isfinite(value)]
    for name, network in networks.items():
        if not all(torch.isfinite(parameter).all() for parameter in network.parameters()):
            broken.append(name)
    if broken:
        raise diagnosis(step, broken, source, recipe)


def diagnosis(step: int, broken: Sequence[str], source: Source, recipe: Recipe) -> DivergedError:
    """Look at the data and the recipe after training broke; the error that says what was found."""
    found = f"{', '.join(broken)} stopped being finite"
    bad, largest = _looked_at(source)
    if bad is not None:
        return DivergedError(
            step,
            found=f"{found}; training sample {bad} of {source.name} holds values that are not finite",
            hint="remove that sample or fill its values",
            by_data=True,
        )
    lrs = f"rates {recipe.critic_lr:.3g} (critic), {recipe.generator_lr:.3g} (generator)"
    tries = [
        f"{_lower('critic_lr', recipe.critic_lr)} {_lower('generator_lr', recipe.generator_lr)}",
        f"{parameter('on_divergence', 'rollback')}, which lowers them by itself",
    ]
    if recipe.precision != "float32":
        tries.append(parameter("precision", "float32"))
    if recipe.constraint in ("none", "clip"):
        tries.append(parameter("constraint", "lp"))
    if largest > EXTREME_DEVIATIONS:
        found += f"; the data reach {largest:.3g} deviations from their mean"
        tries.append("data without such outliers, or their logarithm")
    return DivergedError(
        step, found=f"{found}; {lrs}", hint=f"the last checkpoint is sound. Try {'; or '.join(tries)}", by_data=False
    )


def _lower(name: str, lr: float) -> str:
    text = f"{LOWER * lr:.2g}"
    return parameter(name, float(text), text=text)


def divergence_in(error: BaseException) -> DivergedError | None:
    """The divergence that an error is or, on a process whose error another process tells, that it comes from."""
    while error is not None and not isinstance(error, DivergedError):
        error = error.__cause__  # type: ignore[assignment]
    return error


def _looked_at(source: Source) -> tuple[int | None, float]:
    """The first training sample that is not finite, if any, and the largest magnitude in model space."""
    largest, count = 0.0, min(source.train_count, SCANNED_SAMPLES)
    for start in range(0, count, SCANNED_AT_A_TIME):
        samples = source.train(torch.arange(start, min(count, start + SCANNED_AT_A_TIME))).flatten(1)
        sound = samples.isfinite().all(1)
        if not sound.all():
            return start + int((~sound).nonzero()[0]), largest
        largest = max(largest, float(samples.abs().max()))
    return None, largest
