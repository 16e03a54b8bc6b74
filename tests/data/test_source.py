from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wassergan.data import Codec, open_source
from wassergan.data.readers import digits
from wassergan.data.readers.images import PictureSource
from wassergan.data.readers.streaming import StreamedSource
from wassergan.data.source import Source
from wassergan.data.split import random_positions, split_rows
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


def test_training_and_held_out_samples_are_the_rows_of_the_split(
    make_source: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in (True, False):
        source = make_source((2, 4, 3), count=50)
        if not limit:  # read on demand instead of kept
            monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 0)
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


def opened(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source of each class."""
    values = np.random.default_rng(0).normal(size=(60, 3))
    if kind == "streamed":
        monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 512)
        return open_source(values)
    if kind == "pictures":
        for number in range(20):
            Image.fromarray(np.full((4, 4), number, np.uint8)).save(folder / f"{number}.png")
        return open_source(folder)
    if kind == "table":
        (folder / "table.csv").write_text("a,b\n" + "".join(f"{number},{number % 3}\n" for number in range(60)))
        return open_source(folder / "table.csv")
    return open_source(values)


KINDS = {"array": Source, "table": Source, "streamed": StreamedSource, "pictures": PictureSource}


# What two parts of a program hold is the same to both: neither can make it another under the other's hands.
@pytest.mark.parametrize("kind", KINDS)
def test_a_source_is_as_it_was_made(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(kind, tmp_path, monkeypatch)
    assert type(source) is KINDS[kind]
    for name in (each.name for each in fields(source)):
        with pytest.raises(FrozenInstanceError):
            setattr(source, name, getattr(source, name))
    with pytest.raises(FrozenInstanceError):
        source.more = 1  # type: ignore[attr-defined]


# Rows that were coded before are not served as those of another codec or of another split.
@pytest.mark.parametrize("kind", KINDS)
def test_another_codec_or_split_serves_its_own_rows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(kind, tmp_path, monkeypatch)
    before = source.train(torch.arange(5)), source.heldout(torch.arange(2))
    rows = source.split.train_rows(torch.arange(source.heldout_count))
    other = source.holding_out(source.split.holding_out(rows))
    every = torch.arange(other.heldout_count)
    assert torch.equal(other.heldout(every), source.codec.encode(source.values(other.split.heldout)))
    trained = other.train(torch.arange(other.train_count))
    assert torch.equal(trained, source.codec.encode(source.values(other.split.train_rows(torch.arange(len(trained))))))
    assert not torch.equal(other.split.heldout.sort().values, source.split.heldout.sort().values)
    again = source.train(torch.arange(5)), source.heldout(torch.arange(2))
    assert all(map(torch.equal, before, again))
    if isinstance(source.codec, Codec):
        halved = replace(source, codec=replace(source.codec, scale=2 * source.codec.scale))
        rows = source.values(source.split.train_rows(torch.arange(5)))
        assert torch.equal(halved.train(torch.arange(5)), halved.codec.encode(rows))
        assert not torch.equal(halved.train(torch.arange(5)), before[0])


def test_samples_come_to_model_space_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(500, 3)).astype("f4")
    values[7, 1] = np.nan
    whole = open_source(values)
    seen: list[int] = []
    rows = whole.split.train_rows(torch.arange(whole.train_count))
    expected = whole.codec.encode(torch.from_numpy(values[rows.numpy()]))
    monkeypatch.setattr("wassergan.data.source.PIECE_BYTES", 8 * 4 * 60)  # sixty samples of four numbers, one a mask
    encode = Codec.encode

    def counted(codec: Codec, given: torch.Tensor) -> torch.Tensor:
        seen.append(len(given))
        return encode(codec, given)

    monkeypatch.setattr(Codec, "encode", counted)
    assert torch.equal(whole.train(torch.arange(whole.train_count)), expected)
    assert max(seen) == 60 and sum(seen) == whole.train_count == 450
    seen.clear()
    assert len(whole.heldout(torch.arange(whole.heldout_count))) == sum(seen) == 50
    assert whole.heldout(torch.arange(0)).shape == (0, 4)


def test_so_many_rows_that_their_numbers_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wassergan.data.split.FEW_ROWS", 1000)
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "1")
    assert len(open_source(np.arange(65_536, dtype="i1"))) == 65_536
    told = "The numbers of 65,537 rows would fill too much memory: 1,048,592 bytes.*give fewer rows"
    with pytest.raises(UserError, match=told):
        open_source(np.arange(65_537, dtype="i1"))


@given(count=st.integers(2, 300), share=st.floats(0.01, 0.99), seed=st.integers(0, 5), data=st.data())
def test_a_split_is_that_of_a_shuffled_list(count: int, share: float, seed: int, data: st.DataObject) -> None:
    part = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    for taking_part in (None, part):
        own = [row for row in order if taking_part is None or taking_part[row]]
        held = round(len(own) * share)
        if 1 <= held < len(own):
            split = split_rows(count, heldout=share, seed=seed, taking_part=taking_part)
            assert (split.heldout.tolist(), split.train.tolist()) == (sorted(own[:held]), sorted(own[held:]))
    everything = split_rows(count, heldout=None, seed=seed)
    assert everything.train.tolist() == list(range(count)) and len(everything.heldout) == 0
