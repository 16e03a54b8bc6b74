import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data import open_source
from wassergan.data.readers.arrays import array_source, load_array, row_blocks
from wassergan.data.readers.filearray import FileArray
from wassergan.errors import UserError


class Hostile:
    """Unpickling it would create the file that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    ("shape", "layout", "sample"),
    [
        ((30,), "N", (1,)),
        ((30, 5), "ND", (5,)),
        ((30, 9, 7), "NHW", (1, 9, 7)),
        ((30, 9, 7, 3), "NHWC", (3, 9, 7)),
        ((30, 4, 9, 7), "NCHW", (4, 9, 7)),
    ],
)
def test_layout_is_told_from_the_shape(shape: tuple[int, ...], layout: str, sample: tuple[int, ...]) -> None:
    source = array_source(np.random.default_rng(0).normal(size=shape))
    assert (source.codec.layout, source.shape) == (layout, sample)


@pytest.mark.parametrize("shape", [(30, 3, 9, 3), (30, 9, 9, 9), (30, 2, 2, 2, 2)])
def test_unclear_layouts_are_refused_until_stated(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    with pytest.raises(UserError, match=r"axes of array are not clear: shape .* Say `layout`"):
        array_source(values)
    if len(shape) == 4:
        assert array_source(values, layout="NHWC").shape == (shape[3], *shape[1:3])


def test_layout_and_scale_must_be_known_and_fit() -> None:
    values = np.random.default_rng(0).normal(size=(30, 5))
    with pytest.raises(UserError, match=r"Unknown layout: 'NHCW'. Did you mean 'NHW'\?"):
        array_source(values, layout="NHCW")
    with pytest.raises(UserError, match=r"Layout NHW does not fit array: shape \(30, 5\)"):
        array_source(values, layout="NHW")
    with pytest.raises(UserError, match=r"Unknown scale: 'features'. Did you mean 'feature'\?"):
        array_source(values, scale="features")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([["a", "b"]] * 30), "<U1"),
        (np.array([[b"a"]] * 30), r"\|S1"),
        (np.array([[1, None]] * 30, dtype=object), "object"),
        (np.ones((30, 2), dtype=complex), "complex128"),
        (np.zeros(30, dtype="datetime64[s]"), "datetime64"),
        (np.zeros(30, dtype=[("a", "f4")]), "a"),
    ],
)
def test_arrays_of_anything_but_real_numbers_are_refused(values: np.ndarray, kind: str) -> None:
    with pytest.raises(UserError, match=rf"does not hold real numbers: type .*{kind}.* (Convert|Give|Take)"):
        array_source(values)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (30, 0)])
def test_arrays_without_numbers_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="holds no samples: shape"):
        array_source(np.zeros(shape))


@given(
    bad=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 3)), min_size=1, max_size=5, unique=True),
    value=st.sampled_from([np.inf, -np.inf]),
)
def test_the_first_infinite_value_is_located(bad: list[tuple[int, int]], value: float) -> None:
    values = np.random.default_rng(0).normal(size=(30, 4))
    for place in bad:
        values[place] = value
    first = min(bad)
    with pytest.raises(UserError, match=rf"infinite values: the first at index \({first[0]}, {first[1]}\)"):
        array_source(values)


def test_the_first_bad_index_counts_from_the_start_of_the_array_not_of_a_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wassergan.data.readers.arrays.BLOCK_BYTES", 4 * 8 * 10)
    values = np.zeros((50, 4))
    values[37, 2] = np.inf
    with pytest.raises(UserError, match=r"infinite values: the first at index \(37, 2\)"):
        array_source(values)
    assert [start for start, _ in row_blocks(values)] == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("dtype", ["i1", "f4", "f8", "longdouble"])
def test_blocks_are_as_large_as_they_are_as_floats(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setattr("wassergan.data.readers.arrays.BLOCK_BYTES", 8 * 4 * 10)
    values = np.zeros((25, 4), dtype)
    expected = [0, 10, 20] if dtype != "longdouble" else [0, 5, 10, 15, 20]
    assert [start for start, _ in row_blocks(values)] == expected
    assert [start for start, _ in row_blocks(values, np.arange(15))] == [each for each in expected if each < 15]
    assert [len(block) for _, block in row_blocks(np.zeros((3, 0), dtype))] == [3]


def test_constant_features_are_said_by_name_and_come_back() -> None:
    said: list[str] = []
    values = np.random.default_rng(0).normal(size=(30, 5))
    values[:, [1, 4]] = 7.1
    source = array_source(values, log=said.append)
    assert said == [
        "feature 1, feature 4 of array have the same value in every sample: they come back exactly and take no part in "
        "training."
    ]
    assert (source.codec.decode_numpy(torch.randn(9, 5))[:, [1, 4]] == 7.1).all()
    many = np.random.default_rng(0).normal(size=(30, 15))
    many[:, 2:] = 1
    array_source(many, log=said.append)
    assert "feature 10, feature 11 and 3 more of array" in said[-1]


@pytest.mark.parametrize("values", [np.full((30, 4, 4), 3.5), np.full(30, 1)])
def test_an_array_of_one_value_is_refused(values: np.ndarray) -> None:
    with pytest.raises(UserError, match="All samples of array are equal"):
        array_source(values)


def test_pictures_that_are_all_equal_are_refused() -> None:
    with pytest.raises(UserError, match="All samples of array are equal"):
        array_source(np.tile(np.arange(16, dtype=np.uint8).reshape(4, 4), (30, 1, 1)))


def test_a_spread_beyond_floating_point_is_refused() -> None:
    with np.errstate(all="ignore"), pytest.raises(UserError, match="spread of array is not representable"):
        array_source(np.array([[-1e308], [1e308]] * 15))


def test_statistics_are_those_of_numpy_over_the_training_rows() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=(90, 3, 4, 5))
    for scale, axes in (("array", (0, 1, 2, 3)), ("feature", (0,))):
        source = array_source(values, scale=scale, layout="NCHW")
        train = values[source.split.train.numpy()]
        np.testing.assert_allclose(source.codec.offset.numpy(), train.mean(axes), rtol=1e-12)  # type: ignore[attr-defined]
        np.testing.assert_allclose(source.codec.scale.numpy(), train.std(axes), rtol=1e-12)  # type: ignore[attr-defined]
        low, high = train.min(axes), train.max(axes)
        bounds = source.codec.low * source.codec.scale + source.codec.offset  # type: ignore[attr-defined]
        np.testing.assert_allclose(bounds.numpy(), low - 0.1 * (high - low), rtol=1e-9, atol=1e-12)


def test_fields_are_standardised_as_a_whole_and_rows_per_feature_unless_told_otherwise() -> None:
    numbers = np.random.default_rng(0)
    assert array_source(numbers.normal(size=(30, 4, 5))).codec.offset.shape == ()  # type: ignore[attr-defined]
    assert array_source(numbers.normal(size=(30, 4))).codec.offset.shape == (4,)  # type: ignore[attr-defined]
    assert array_source(numbers.normal(size=(30, 4, 5)), scale="feature").codec.offset.shape == (1, 4, 5)  # type: ignore[attr-defined]


def test_statistics_do_not_depend_on_the_size_of_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = 1e4 + np.random.default_rng(0).normal(size=(90, 3))
    whole = array_source(values).codec
    monkeypatch.setattr("wassergan.data.readers.arrays.BLOCK_BYTES", 7 * 3 * 8)
    torch.testing.assert_close(array_source(values).codec.scale, whole.scale, rtol=1e-9, atol=0)  # type: ignore[attr-defined]


def test_npy_files_are_opened_without_a_warning(tmp_path: Path) -> None:
    path, values = tmp_path / "a.npy", np.random.default_rng(0).normal(size=(40, 3)).astype("f4")
    np.save(path, values)
    name, array = load_array(path)
    assert name == "a.npy" and isinstance(array, FileArray)
    source = open_source(path)
    np.testing.assert_array_equal(source.values(torch.tensor([5, 2])).numpy(), values[[5, 2]])


def test_rows_that_were_read_can_be_written_to_without_touching_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(40.0))
    source = open_source(path)
    source.values(torch.tensor([3])).zero_()
    assert source.values(torch.tensor([3])).item() == 3.0


def test_npz_takes_the_key_asked_for_or_the_largest_array(tmp_path: Path) -> None:
    path, said = tmp_path / "a.npz", []  # type: ignore[var-annotated]
    numbers = np.random.default_rng(0)
    np.savez(path, small=numbers.normal(size=(30, 2)), large=numbers.normal(size=(30, 9)), label=np.array("x"))
    assert open_source(path, log=said.append).shape == (9,)
    assert said[0] == "Using the array large of a.npz, shape (30, 9)."
    assert said[1].startswith("Passed over in a.npz: small, label (")
    assert open_source(path, key="small").shape == (2,)
    with pytest.raises(
        UserError, match=r"Unknown array in a.npz: 'smal'. Did you mean 'small'\? Known: small, large, label"
    ):
        open_source(path, key="smal")


def test_an_object_array_beside_numbers_does_not_matter_unless_asked_for(tmp_path: Path) -> None:
    path, mark = tmp_path / "a.npz", tmp_path / "ran"
    objects = np.array([Hostile(mark)] * 9000, dtype=object)
    np.savez(path, objects=objects, numbers=np.random.default_rng(0).normal(size=(30, 2)))
    assert open_source(path).shape == (2,)
    with pytest.raises(UserError, match="holds Python objects, which are never loaded"):
        open_source(path, key="objects")
    assert not mark.exists()


# A file that can run code on load.
@pytest.mark.parametrize("write", ["npy", "npz", "pickle as npy", "pickle as npz"])
def test_hostile_pickles_never_run(tmp_path: Path, write: str) -> None:
    import pickle

    mark = tmp_path / "ran"
    objects = np.array([Hostile(mark)] * 30, dtype=object)
    path = tmp_path / f"a.{write[-3:]}"
    if "pickle" in write:
        path.write_bytes(pickle.dumps(Hostile(mark)))
    elif write == "npy":
        np.save(path, objects)
    else:
        np.savez(path, objects)
    with pytest.raises(UserError, match="never loaded"):
        open_source(path)
    assert not mark.exists()


def test_a_zip_without_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w"):
        pass
    with pytest.raises(UserError, match="holds no arrays"):
        open_source(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no array")
    with pytest.raises(UserError, match="holds no arrays"):
        open_source(path)


def test_files_are_read_by_what_they_hold_whatever_their_suffix(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(30, 2))
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "b.npz", values)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    for name in ("a.npz", "b.npy"):
        assert (open_source(tmp_path / name).values(torch.arange(30)).numpy() == values).all()


@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_truncated_and_damaged_files_are_refused_whatever_byte_is_hit(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).normal(size=(24, 3))
    good = tmp_path / ("good.npy" if kind == "npy" else "good.npz")
    {"npy": np.save, "npz": np.savez, "compressed": np.savez_compressed}[kind](good, values)
    content = good.read_bytes()
    path = tmp_path / f"bad{good.suffix}"
    for length in range(0, len(content), 29):
        path.write_bytes(content[:length])
        with pytest.raises(UserError):
            open_source(path)
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        try:  # a plain .npy has no checksum: a flipped number is another number
            assert len(open_source(path)) > 0
        except UserError:
            pass


def test_arrays_and_tensors_can_be_given_instead_of_a_path(numbers: np.random.Generator) -> None:
    values = numbers.normal(size=(30, 2))
    from_array, from_tensor = open_source(values), open_source(torch.from_numpy(values).requires_grad_())
    assert torch.equal(from_array.train(torch.arange(5)), from_tensor.train(torch.arange(5)))


def test_unsigned_numbers_beyond_64_signed_bits_are_refused_not_wrapped() -> None:
    values = np.array([0, 1, 2**63 + 5] * 10, dtype=np.uint64)
    with pytest.raises(UserError, match="too large"):
        array_source(values)


def test_a_large_map_is_read_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, "w+", np.float32, (4000, 1000))  # 16 MB
    large[:] = np.random.default_rng(0).normal(size=(4000, 1000))
    large.flush()
    monkeypatch.setattr("wassergan.data.readers.arrays.BLOCK_BYTES", 2**18)
    monkeypatch.setattr("wassergan.data.source.RESIDENT_LIMIT_BYTES", 2**20)
    np.save(tmp_path / "small.npy", large[:100])
    open_source(tmp_path / "small.npy")  # what is imported at the first call is not counted
    tracemalloc.start()
    try:
        source = open_source(path)
        source.train(torch.arange(64))
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20  # held-out rows, 1.6 MB, and blocks; the file has 16 MB
    finally:
        tracemalloc.stop()


def test_unknown_paths_and_kinds_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    with pytest.raises(UserError, match=r"There is no .*gone.npy. Give 'digits'"):
        open_source(tmp_path / "gone.npy")
    (tmp_path / "a.xyz").write_bytes(b"")
    with pytest.raises(UserError, match=r"kind of .*a.xyz is not known: suffix '.xyz'"):
        open_source(tmp_path / "a.xyz")
