"""Generated, training and held-out pictures, with what each was drawn under."""

from dataclasses import dataclass

from torch import Tensor

from wassergan.data import Batch


@dataclass(frozen=True)
class PicturePopulations:
    """Pictures and fields (n, C, H, W) float32 in model space on the CPU, in random order, with their conditions.

    Args:
        generated: drawn from the generator, as they are handed out.
        training: which the generator was trained on.
        heldout: which it was not; without conditions where other data take their place.
    """

    generated: Batch
    training: Batch
    heldout: Batch

    @property
    def contexts(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Conditions of the generated, training and held-out pictures; none of one where another has none."""
        every = (self.generated.context, self.training.context, self.heldout.context)
        return (None, None, None) if any(each is None for each in every) else every

    @property
    def floor_count(self) -> int:
        """Training pictures that stand for generated ones."""
        return min(len(self.generated.samples), len(self.training.samples))
