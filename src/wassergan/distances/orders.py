"""Random orders of samples in any arrangement, including sorted ones, for any seed."""

import hashlib

import torch
from torch import Tensor

_FIXED = 0x9E3779B97F4A7C1  # unlikely to be the seed of anybody's data


def keyed(rng: torch.Generator | None, *samples: Tensor) -> torch.Generator:
    """A generator seeded by a draw of `rng`, or a fixed number, and by the rows of the samples in any arrangement.

    A constant seed picks the same ranks of sorted rows each time. These ranks are then not random, and a bound that
    holds for random orders fails repeatedly at some sizes. Given the set of rows, independent draws come in every order
    with equal probability, so an order that depends on nothing else leaves them independent draws.

    Args:
        rng: advanced by one draw.
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
    """An integer per row, in int64 with wrap-around: equal for equal rows at any position."""
    rows = sample.detach().reshape(len(sample), -1)
    factors = torch.randint(-(2**62), 2**62, (rows.shape[1],), generator=torch.Generator().manual_seed(_FIXED)) * 2 + 1
    parts = [(part.cpu().double() + 0.0).view(torch.int64) * factors for part in rows.split(2**14)]
    return torch.cat([part.sum(1) for part in parts])
