import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.utils.rng import derived_rng, derived_seed


@given(seed=st.integers(0, 2**62))
def test_streams_differ_by_seed_and_by_name_and_fit_a_generator(seed: int) -> None:
    seeds = [derived_seed(seed, "a"), derived_seed(seed, "b"), derived_seed(seed, "a", 1), derived_seed(seed + 1, "a")]
    assert len(set(seeds)) == 4 and all(0 <= each < 2**63 for each in seeds)
    assert seeds[0] == derived_seed(seed, "a")


def test_streams_are_uncorrelated() -> None:
    draws = [
        torch.randn(20_000, generator=derived_rng(seed, name)) for seed in (0, 1) for name in ("latent", "penalty")
    ]
    correlations = np.corrcoef(torch.stack(draws).numpy())
    assert np.abs(correlations - np.eye(4)).max() < 4 / 20_000**0.5
