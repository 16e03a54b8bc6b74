import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.utils.rng import ReplayedGenerator, derived_rng, derived_seed, sharded_rng, uniform_rows
from wassergan.utils.shard import BatchShard


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


@given(
    seed=st.integers(0, 99),
    rows=st.integers(1, 5),
    axes=st.lists(st.integers(1, 3), max_size=3),
    count=st.integers(1, 4),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_shards_of_a_stream_are_the_numbers_that_one_process_draws(
    seed: int, rows: int, axes: list[int], count: int, dtype: torch.dtype
) -> None:
    shards = [sharded_rng(seed, "a", device="cpu", shard=BatchShard(index, count)) for index in range(count)]
    alone = derived_rng(seed, "a")
    like = torch.zeros(rows, *axes, dtype=dtype)
    for _ in range(2):
        parts = [uniform_rows(each, like) for each in shards]
        whole = torch.rand(rows * count, *(1 for _ in axes), generator=alone, dtype=dtype)
        assert torch.equal(torch.cat(parts), whole) and all(len(part) == rows for part in parts)
        assert torch.equal(
            torch.cat([each.normal_rows(rows, 3) for each in shards]), torch.randn(rows * count, 3, generator=alone)
        )
    assert all(torch.equal(each.get_state(), alone.get_state()) for each in shards)


def test_numbers_that_are_replayed_are_those_drawn_one_by_one_and_stay_where_they_are() -> None:
    straight, ahead = derived_rng(0, "a"), ReplayedGenerator(derived_rng(0, "a"))
    likes = [torch.zeros(3, 2), torch.zeros(4, 1, 1, dtype=torch.float64)]
    recorded = [uniform_rows(ahead, like) for like in likes]
    for again in range(3):
        if again:
            ahead.draw()
        ahead.rewind()
        for place, like in zip(recorded, likes, strict=True):
            assert uniform_rows(ahead, like) is place
            assert torch.equal(place, uniform_rows(straight, like))
