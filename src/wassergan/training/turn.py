"""All that the steps between two steps of the generator are given, and the last of them."""

from typing import NamedTuple

from torch import Tensor

from wassergan.data import Batch
from wassergan.training.batches import mapped

Due = tuple[bool, ...]  # for each critic step, whether the penalty acts


class Iteration(NamedTuple):
    """What the critic steps until the generator's next step, and that step, are given.

    Attributes:
        batches: real samples and their conditions, one batch per critic step.
        latents: one batch per critic step and one for the generator's, conditions before them; where the last critic
            step shares the generator's fakes, it has no batch of its own.
    """

    batches: tuple[Batch, ...]
    latents: tuple[Tensor, ...]

    @property
    def tensors(self) -> list[Tensor]:
        """All of them, always in the same order."""
        given = [tensor for batch in self.batches for tensor in batch if tensor is not None]
        return [*given, *self.latents]

    def copied(self) -> "Iteration":
        """The same numbers in places of their own."""
        batches = tuple(mapped(batch, Tensor.clone) for batch in self.batches)
        return Iteration(batches, tuple(latent.clone() for latent in self.latents))
