from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.data.readers import digits
from wassergan.data.source import random_positions, split_rows
from wassergan.errors import UserError


@given(count=st.integers(2, 500), share=st.floats(0.01, 0.99), seed=st.integers(0, 5))
def test_each_row_is_either_trained_on_or_held_out(count: int, share: float, seed: int) -> None:
    held = round(count * share)
    if not 1 <= held < count:
        with pytest.raises(UserError, match=rf"Too few samples to hold some out: {count} samples"):
            split_rows(count, heldout=share, seed=seed)
        return
    split = split_rows(count, heldout=share, seed=seed)
    assert len(split.heldout) == held
    assert torch.cat([split.train, split.heldout]).sort().values.tolist() == list(range(count))


def test_the_split_follows_the_seed_and_leaves_the_global_state_alone() -> None:
    outside = torch.get_rng_state()
    first, again, other = (split_rows(100, heldout=0.1, seed=seed).heldout for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(outside, torch.get_rng_state())


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2.0])
def test_the_held_out_share_lies_between_zero_and_one(share: float) -> None:
    with pytest.raises(UserError, match="must lie between 0 and 1"):
        split_rows(100, heldout=share, seed=0)


def test_training_and_held_out_samples_are_the_rows_of_the_split(make_source) -> None:  # type: ignore[no-untyped-def]
    for limit in (True, False):
        source = make_source((2, 4, 3), count=50)
        if not limit:  # read on demand instead of kept
            type_ = type(source)
            source.__class__ = type("Streamed", (type_,), {"fits_in_memory": False})
        train = source.codec.decode(source.train(torch.tensor([3, 0])))
        assert torch.equal(train, source.values(source.split.train[[3, 0]]))
        heldout = source.codec.decode(source.heldout(torch.tensor([4])))
        assert torch.equal(heldout, source.values(source.split.heldout[[4]]))


def test_digits_are_found_by_scikit_learn_itself_where_its_files_lie_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = digits._rows()
    monkeypatch.setattr(digits, "find_spec", lambda name: ModuleSpec(name, None, origin=str(tmp_path / "__init__.py")))
    assert (digits._rows() == rows).all()


def test_digits_are_grey_levels_0_to_16_with_a_fifth_held_out() -> None:
    from sklearn.datasets import load_digits

    from wassergan.data import open_source

    source = open_source("digits")
    assert (len(source), source.train_count, source.heldout_count) == (1797, 1437, 360)
    assert source.shape == (1, 8, 8)
    every = torch.arange(1797)
    assert (source.values(every).numpy() == load_digits().images).all()
    back = source.codec.decode_numpy(source.codec.encode(source.values(every)))
    assert (back == load_digits().images).all() and back.dtype == "float32"
    encoded = source.train(torch.arange(1437))
    assert encoded.min() == -1 and encoded.max() == 1


@pytest.mark.parametrize(("count", "looked"), [(5, 5), (100, 45), (1, 1)])
def test_training_rows_to_look_at_come_from_all_over(make_source, count: int, looked: int) -> None:  # type: ignore[no-untyped-def]
    positions = make_source((3,), count=50, heldout=0.1).split.sample_positions(count)
    assert len(positions) == len(set(positions.tolist())) == looked
    assert positions.min() >= 0 and positions.max() < 45
    assert positions.equal(make_source((3,), count=50, heldout=0.1).split.sample_positions(count))


@settings(max_examples=50)
@given(
    total=st.integers(2000, 200_000), period=st.integers(2, 60), share=st.floats(0.05, 0.9), seed=st.integers(0, 2**31)
)
def test_a_prefix_of_random_positions_is_a_sample_of_sorted_and_of_periodic_files(
    total: int, period: int, share: float, seed: int
) -> None:
    positions = random_positions(int(total * share), total, seed=seed).double().numpy()
    some = positions[:400] if len(positions) > 400 else positions
    error = 5 / np.sqrt(len(some))  # 5 deviations: 1e-6 for both together
    assert abs((some / total).mean() - 0.5) < error * 12**-0.5 + 1 / total
    assert abs((some % period < period // 2).mean() - (period // 2) / period) < error * 0.5 + period / total
    assert len(np.unique(positions)) == len(positions)
