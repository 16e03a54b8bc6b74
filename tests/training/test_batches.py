from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import Source
from wassergan.data.codec import pixel_codec
from wassergan.data.split import Split
from wassergan.errors import UserError
from wassergan.training import batches as batches_module
from wassergan.training.batches import BatchStream
from wassergan.utils.shard import BatchShard


class Numbered:
    """Rows whose value is their number, and a list of all that were read."""

    def __init__(self, count: int) -> None:
        self.count, self.read_rows = count, []  # type: ignore[var-annotated]

    def __len__(self) -> int:
        return self.count

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        self.read_rows += indices.tolist()
        return indices[:, None].double()


class Streamed(Source):
    fits_in_memory = False  # type: ignore[assignment]


def numbered(train: int, heldout: int = 3, *, kind: type[Source] = Source) -> Source:
    split = Split(train=torch.arange(heldout, heldout + train), heldout=torch.arange(heldout))
    codec = pixel_codec("ND", dtype="float64", top=2.0)  # model value = row - 1
    return kind("numbers", "vector", (1,), Numbered(train + heldout), codec, split)


def drawn(stream: BatchStream, count: int) -> list[list[int]]:
    return [(stream.draw().samples.flatten() + 1).round().int().tolist() for _ in range(count)]


# Loop: a last partial batch silently skipped or mixed in.
@given(train=st.integers(8, 40), batch=st.integers(1, 4), seed=st.integers(0, 3), streamed=st.booleans())
def test_each_epoch_serves_every_training_row_once_in_full_batches(
    train: int, batch: int, seed: int, streamed: bool
) -> None:
    source = numbered(train, kind=Streamed if streamed else Source)
    batches = drawn(BatchStream(source, batch, seed=seed), -(-3 * train // batch))
    assert all(len(each) == batch for each in batches)
    served = sum(batches, [])
    for epoch in range(3):
        assert sorted(served[epoch * train : (epoch + 1) * train]) == list(range(3, 3 + train))
    assert served[:train] != served[train : 2 * train] or train < 9


# Held-out rows are never served in training.
@pytest.mark.parametrize("kind", [Source, Streamed])
def test_held_out_rows_are_never_read_for_training(kind: type[Source]) -> None:
    source = numbered(20, 5, kind=kind)
    drawn(BatchStream(source, 4, seed=0), 30)
    assert min(source.reader.read_rows) >= 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Source, Streamed])
@pytest.mark.parametrize("before", [0, 3, 5, 11])
def test_a_reloaded_stream_goes_on_where_the_saved_one_was(kind: type[Source], before: int) -> None:
    stream = BatchStream(numbered(13, kind=kind), 3, seed=1)
    drawn(stream, before)
    state = stream.state_dict()
    rest = drawn(stream, 9)
    again = BatchStream(numbered(13, kind=kind), 3, seed=1)
    drawn(again, 2)
    again.load_state_dict(state)
    assert drawn(again, 9) == rest


def test_the_order_follows_the_seed_alone() -> None:
    outside = torch.get_rng_state()
    one, same, other = (drawn(BatchStream(numbered(13), 3, seed=seed), 9) for seed in (0, 0, 1))
    assert one == same != other
    assert drawn(BatchStream(numbered(13, kind=Streamed), 3, seed=0), 9) == one
    assert torch.equal(outside, torch.get_rng_state())


# Loop: a data set smaller than the batch.
@pytest.mark.parametrize("count", [1, 7, 15])
def test_fewer_samples_than_two_batches_need_are_refused(count: int) -> None:
    with pytest.raises(
        UserError, match=rf"Too few samples to train on: {count} training samples for batches of 8\. Give at least 16"
    ):
        BatchStream(numbered(count), 8, seed=0)
    BatchStream(numbered(16), 8, seed=0)


def test_a_reading_error_in_the_background_reaches_the_caller(make_source: Callable[..., Source]) -> None:
    source = numbered(16, kind=Streamed)

    def fail(indices: torch.Tensor) -> torch.Tensor:
        raise UserError("The picture x cannot be read")

    source.reader.read = fail  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="picture x cannot be read"):
        BatchStream(source, 4, seed=0).draw()


# A GPU is not asked to wait for rows that could lie there: here the CPU plays the device.
@pytest.mark.parametrize("shard", [BatchShard(), BatchShard(1, 2)])
def test_data_that_fit_lie_on_the_device_and_give_the_same_batches(
    monkeypatch: pytest.MonkeyPatch, shard: BatchShard
) -> None:
    expected = drawn(BatchStream(numbered(21), 4, seed=1, shard=shard), 12)
    monkeypatch.setattr(batches_module, "HOST", torch.device("meta"))
    source = numbered(21)
    stream = BatchStream(source, 4, seed=1, shard=shard, device=torch.device("cpu"))
    assert drawn(stream, 3) == expected[:3]
    monkeypatch.delattr(Source, "train_batch")  # never read again
    assert drawn(stream, 9) == expected[3:]


def test_batches_come_on_the_device() -> None:
    batch = BatchStream(numbered(21), 4, seed=1, device=torch.device("meta")).draw()
    assert batch.samples.device.type == "meta" and batch.samples.shape == (4, 1)
