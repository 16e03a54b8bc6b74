"""Checkpoints in fewer bytes: every bit comes back, and a stranger's file takes no more memory than its size allows."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.errors import UserError
from wassergan.storage.archive import DamagedError
from wassergan.storage.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from wassergan.storage.packing import MOST_TIMES, SMALLEST, packed, unpacked

TAG = "float32 in four planes"


def tensors(seed: int, count: int, kind: str) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    if kind == "any bits":  # NaN of every kind, infinities, -0, the smallest numbers
        bits = rng.integers(0, 2**32, count, dtype=np.uint32)
        return torch.from_numpy(bits.view(np.float32))
    if kind == "zeros":
        return torch.zeros(count)
    return torch.from_numpy(rng.normal(0, 0.02, count).astype(np.float32)) ** (2 if kind == "squares" else 1)


@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from([1, 2, 3, 16, 37]), min_size=1, max_size=4),
    st.sampled_from(["any bits", "zeros", "weights", "squares"]),
    st.randoms(use_true_random=False),
)
def test_every_bit_comes_back_in_its_place(seed: int, shape: list[int], kind: str, random: Any) -> None:
    count = int(np.prod(shape))
    values = tensors(seed, count, kind).reshape(shape).permute(random.sample(range(len(shape)), len(shape)))
    content = {"large": tensors(seed, 3 * SMALLEST, "weights"), "list": [values, (values.clone(), 3)], 7: "words"}
    found = unpacked(packed(content), file_bytes=10**8)
    assert found.keys() == content.keys() and found[7] == "words" and type(found["list"][1]) is tuple
    for before, after in ((values, found["list"][0]), (values, found["list"][1][0])):
        assert after.shape == before.shape and after.stride() == before.stride() and after.dtype == before.dtype
        assert torch.equal(after.contiguous().view(torch.int32), before.contiguous().view(torch.int32))


def test_a_checkpoint_is_smaller_and_whole(tmp_path: Path) -> None:
    weights, average = tensors(0, 10**5, "weights").reshape(100, 1000), tensors(1, 10**5, "weights")
    moments = {"mean": torch.zeros(10**5), "square": torch.zeros(10**5)}
    content = {"trainer": {"critic": {"w": weights.t()}, "average": {"w": average}, "optimizer": moments, "step": 3}}
    save_checkpoint(tmp_path / "a.pt", content)
    assert (tmp_path / "a.pt").stat().st_size < 0.5 * 16 * 10**5
    found = load_checkpoint(tmp_path / "a.pt")["trainer"]
    assert torch.equal(found["critic"]["w"], weights.t()) and torch.equal(found["average"]["w"], average)
    assert found["optimizer"]["mean"].count_nonzero() == 0 and found["step"] == 3


def test_checkpoints_of_earlier_releases_are_read(tmp_path: Path) -> None:
    weights = tensors(0, 2 * SMALLEST, "weights")
    torch.save({"format": FORMAT, "version": 1, "weights": weights}, tmp_path / "a.pt")
    assert torch.equal(load_checkpoint(tmp_path / "a.pt")["weights"], weights)


def test_what_would_be_refused_as_too_dense_is_not_packed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {"zeros": torch.zeros(10**6)})
    assert load_checkpoint(tmp_path / "a.pt")["zeros"].shape == (10**6,)


def planes(**changes: Any) -> dict[str, Any]:
    return {TAG: [torch.zeros(6, dtype=torch.uint8)] * 4, "shape": [2, 3], "strides": [3, 1]} | changes


def deflated(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(zlib.compress(content)), dtype=torch.uint8)


WRONG = {
    "a bomb": planes(shape=[10**9], strides=[1]),
    "a shape of 2^80": planes(shape=[2**80], strides=[1]),
    "a shape below zero": planes(shape=[-2, -3]),
    "a shape of text": planes(shape="23"),
    "sides of bool": planes(shape=[True, 6], strides=[6, 1]),
    "stride 0": planes(shape=[2, 3], strides=[0, 1]),
    "fewer strides": planes(strides=[1]),
    "three planes": planes(**{TAG: [torch.zeros(6, dtype=torch.uint8)] * 3}),
    "planes of floats": planes(**{TAG: [torch.zeros(6)] * 4}),
    "planes of nothing": planes(**{TAG: [None] * 4}),
    "a plane that inflates to less": planes(**{TAG: [deflated(bytes(5))] * 4}),
    "a plane that inflates to more": planes(**{TAG: [deflated(bytes(7))] * 4}),
    "a plane with a tail": planes(**{TAG: [torch.cat([deflated(bytes(6)), torch.ones(9, dtype=torch.uint8)])] * 4}),
    "a plane cut short": planes(**{TAG: [deflated(bytes(6))[:-2]] * 4}),
    "a plane of no stream": planes(**{TAG: [torch.full((9,), 3, dtype=torch.uint8)] * 4}),
    "many within the limit alone": [planes(shape=[500], strides=[1], **{TAG: [deflated(bytes(500))] * 4})] * 40,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_planes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises((DamagedError, zlib.error)):
        unpacked({"a": WRONG[name]}, file_bytes=1000)
    path = tmp_path / "a.pt"
    torch.save({"format": FORMAT, "version": 2, "a": WRONG[name]}, path)
    if "within" not in name:  # a file is larger than its planes
        with pytest.raises(UserError, match="damaged"):
            load_checkpoint(path)


def test_the_limit_is_of_the_file() -> None:
    fitting = planes(shape=[2000], strides=[1], **{TAG: [deflated(bytes(2000))] * 4})
    assert len(unpacked(fitting, file_bytes=8000 // MOST_TIMES)) == 2000
    with pytest.raises(DamagedError):
        unpacked(fitting, file_bytes=8000 // MOST_TIMES - 1)
