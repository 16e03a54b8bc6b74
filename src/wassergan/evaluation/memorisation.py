"""Does a generator return training samples? Distances to them, held against those of held-out samples."""

from dataclasses import dataclass

from torch import Tensor

from wassergan.errors import UserError
from wassergan.evaluation.nearest import nearest

RARE = 0.01  # share of held-out samples that may lie as near to a training sample as a near copy
EXCESS, TIMES = 0.05, 3.0
LISTED = 16


@dataclass(frozen=True)
class Memorisation:
    """Distances of generated and of held-out samples to their nearest training samples.

    Attributes:
        threshold: what counts as a near copy: no farther than 99 % of the held-out samples are.
        share_near_copies: of the generated samples.
        share_near_copies_heldout: of the held-out ones; above 1 % where data repeat themselves.
        median_distance_generated: to the nearest training sample.
        median_distance_heldout: the same of held-out samples.
        flagged: more near copies than 5 % and three times the share among held-out samples.
        closest: (generated, training, distance), nearest first.
    """

    threshold: float
    share_near_copies: float
    share_near_copies_heldout: float
    median_distance_generated: float
    median_distance_heldout: float
    flagged: bool
    closest: tuple[tuple[int, int, float], ...]

    @property
    def sentence(self) -> str:
        """What it means, in a sentence."""
        shares = f"{_percent(self.share_near_copies)} of the generated and {_percent(self.share_near_copies_heldout)}"
        copies = f"{shares} of the held-out samples lie within {self.threshold:.3g} of a training sample"
        if self.flagged:
            return f"The generator returns training samples: {copies}."
        return f"No sign of memorising: {copies}."


def memorisation(generated: Tensor, training: Tensor, heldout: Tensor) -> Memorisation:
    """Near copies of training samples among generated ones, by the measure of held-out samples.

    Held-out samples are as near to the training samples as fresh draws of the law are; a generator that copies is
    nearer. Smooth samples are somewhat nearer too, hence the strict threshold.

    Args:
        generated: features (n, d).
        training: features (m, d), the rows that were trained on.
        heldout: features (k, d).

    Raises:
        UserError: one of them is empty, or the dimensions differ.
    """
    if not min(map(len, (generated, training, heldout))):
        raise UserError("A sample to compare is empty", found=f"{len(generated)}, {len(training)}, {len(heldout)} rows")
    if not generated.shape[1:] == training.shape[1:] == heldout.shape[1:]:
        shapes = (tuple(each.shape[1:]) for each in (generated, training, heldout))
        raise UserError("Features differ in shape", found=", ".join(map(str, shapes)))
    found, rows = nearest(generated, training, count=1)
    own, usual = found.flatten(), nearest(heldout, training, count=1)[0].flatten()
    threshold = usual.quantile(RARE, interpolation="lower")
    copies, natural = ((each <= threshold).double().mean().item() for each in (own, usual))
    order = own.argsort(stable=True)[:LISTED]
    return Memorisation(
        threshold=threshold.item(),
        share_near_copies=copies,
        share_near_copies_heldout=natural,
        median_distance_generated=own.median().item(),
        median_distance_heldout=usual.median().item(),
        flagged=copies > EXCESS + TIMES * natural,
        closest=tuple((int(i), int(rows[i, 0]), own[i].item()) for i in order),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
