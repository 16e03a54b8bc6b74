"""The file of a checkpoint, read without trust."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.errors import UserError
from wassergan.storage.archive import DamagedError, is_dense, read_archive
from wassergan.storage.checkpoint import load_checkpoint, save_checkpoint

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 300), inner, max_size=4)
    ),
    max_leaves=20,
)
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int8, torch.uint8, torch.bool]


@given(PLAIN)
def test_plain_content_comes_back(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = tmp_path_factory.mktemp("archive") / "a.pt"
    save_checkpoint(path, {"content": content})
    assert load_checkpoint(path)["content"] == content
    assert torch.load(path, weights_only=True)["content"] == content


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=4), st.randoms(use_true_random=False))
def test_dense_tensors_come_back_with_their_strides(
    tmp_path_factory: pytest.TempPathFactory, dtype: torch.dtype, shape: list[int], random: Any
) -> None:
    axes = random.sample(range(len(shape)), len(shape))
    values = torch.arange(torch.Size(shape).numel()).reshape(shape).permute(axes).to(dtype)
    path = tmp_path_factory.mktemp("archive") / "a.pt"
    torch.save({"a": values, "again": values}, path)
    found = read_archive(path)
    assert torch.equal(found["a"], values) and found["a"].dtype == dtype
    assert found["again"] is found["a"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=4))
def test_dense_means_that_every_number_lies_in_a_place_of_its_own(sides: list[tuple[int, int]]) -> None:
    shape, strides = [side for side, _ in sides], [stride for _, stride in sides]
    places = {0}
    for side, stride in sides:
        places = {place + index * stride for place in places for index in range(side)}
    count = torch.Size(shape).numel()
    assert is_dense(shape, strides) == (places == set(range(count)))


def test_what_is_saved_shares_nothing(tmp_path: Path) -> None:
    large = torch.zeros(10**6)
    save_checkpoint(
        tmp_path / "a.pt", {"part": large[3:7], "spread": torch.ones(1, 3).expand(4, 3), "scalar": large[9]}
    )
    assert (tmp_path / "a.pt").stat().st_size < 10**4
    found = load_checkpoint(tmp_path / "a.pt")
    assert found["part"].shape == (4,) and torch.equal(found["spread"], torch.ones(4, 3))


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(1).expand(1000),
        torch.arange(10)[::2],
        torch.zeros(3, dtype=torch.complex64),
        torch.zeros(3, device="meta"),
        torch.eye(3).to_sparse(),
        torch.nn.Parameter(torch.zeros(2)),
    ],
    ids=["spread", "gaps", "complex", "meta", "sparse", "parameter"],
)
def test_other_tensors_are_refused(tmp_path: Path, value: torch.Tensor) -> None:
    torch.save({"a": value}, tmp_path / "a.pt")
    with pytest.raises((DamagedError, pickle.UnpicklingError)):
        read_archive(tmp_path / "a.pt")


def test_tensors_that_share_what_they_hold_are_refused(tmp_path: Path) -> None:
    whole = torch.zeros(10**5)
    torch.save([whole.view(10**5) for _ in range(100)], tmp_path / "a.pt")
    with pytest.raises(DamagedError, match="a tensor of shape"):
        read_archive(tmp_path / "a.pt")


def with_pickle(path: Path, pickled: bytes) -> Path:
    torch.save({"a": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {each.filename: archive.read(each) for each in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, pickled if name.endswith("data.pkl") else content)
    return path


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xe4\x0bT\x02\x85R.",
        b"\x80\x05\x96" + (10**12).to_bytes(8, "little") + b".",
        b"\x80\x02K\x01r\xff\xff\xff\x7f.",
        b"\x80\x02" + b"]" * 2_000_000 + b".",
        b"\x80\x02]q\x00" + b"h\x00\x86q\x00" * 64 + b".",
        b"\x80\x02ccollections\nOrderedDict\n)RN}b.",
        b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.",
        b"\x80\x02K\x01K\x02\x85R.",
        b"",
    ],
    ids=["bytearray", "bytes", "memo", "lists", "folded", "build", "system", "call", "empty"],
)
def test_hostile_pickles_are_refused(tmp_path: Path, pickled: bytes) -> None:
    with pytest.raises(UserError):
        load_checkpoint(with_pickle(tmp_path / "a.pt", pickled))


def test_members_over_each_other_are_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(50):
            archive.writestr(f"a/data/{number}", b"\0" * 1000)
        for each in archive.infolist():
            each.header_offset = 0  # as the directory tells it
    (tmp_path / "a.pt").write_bytes(packed.getvalue()[:1100] + packed.getvalue()[-50 * 60 :])
    with pytest.raises(UserError):
        load_checkpoint(tmp_path / "a.pt")
