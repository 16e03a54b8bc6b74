"""Random orders of samples that come in any arrangement, sorted ones included, whatever the seed is."""

import hashlib

import torch
from torch import Tensor

_FIXED = 0x9E3779B97F4A7C1  # nobody's data are likely to be drawn with it


def keyed(rng: torch.Generator | None, *samples: Tensor) -> torch.Generator:
    """A generator seeded by a draw of `rng`, or a fixed number, and by the rows of the samples, however arranged.

    A seed that is always the same picks the same ranks of sorted rows each time; what ranks it picks is then no chance,
    and a bound that holds for random orders fails again and again at some sizes. Given the rows, those of independent
    draws come in every order alike, so an order that depends on nothing else leaves them independent draws.

    Args:
        rng: moved on by one draw.
        samples: (n,) or (n, d).
    """
    drawn = _FIXED if rng is None else int(torch.randint(2**63 - 1, (), generator=rng, device=rng.device))
    digest = hashlib.blake2b(drawn.to_bytes(8, "little"), digest_size=8)
    for sample in samples:
        digest.update(_row_keys(sample).sort().values.numpy().tobytes())
    return torch.Generator().manual_seed(int.from_bytes(digest.digest(), "little") >> 1)


def shuffled(sample: Tensor, rng: torch.Generator) -> Tensor:
    """The rows in a random order."""
    return sample[torch.randperm(len(sample), generator=rng).to(sample.device)]


def _row_keys(sample: Tensor) -> Tensor:
    """A whole number of each row, in int64 with wrap-around: equal for equal rows, wherever they stand."""
    rows = sample.detach().reshape(len(sample), -1)
    factors = torch.randint(-(2**62), 2**62, (rows.shape[1],), generator=torch.Generator().manual_seed(_FIXED)) * 2 + 1
    parts = [(part.cpu().double() + 0.0).view(torch.int64) * factors for part in rows.split(2**14)]
    return torch.cat([part.sum(1) for part in parts])
