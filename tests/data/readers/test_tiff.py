"""TIFF files of several pages as volumes: read and written without loss, hostile ones refused."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from wassergan.data import open_source
from wassergan.data.readers import tiff
from wassergan.data.readers.tiff import read_tiff, write_tiff
from wassergan.errors import UserError

SIDES = (6, 5, 7)


def volume(dtype: str) -> NDArray[Any]:
    numbers = np.random.default_rng(0)
    if dtype == "bool":
        return numbers.random(SIDES) < 0.4
    if dtype.startswith(("f", ">f")):
        return numbers.normal(size=SIDES).astype(dtype)
    ends = np.iinfo(dtype)
    return numbers.integers(ends.min, ends.max, SIDES, endpoint=True).astype(dtype)


@pytest.mark.parametrize("dtype", ["bool", "u1", "u2", "i4", "f4"])
def test_a_volume_comes_back_as_it_was_written(dtype: str, tmp_path: Path) -> None:
    values = volume(dtype)
    write_tiff(values, tmp_path / "a.tif")
    back = read_tiff(tmp_path / "a.tif")
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)
    with Image.open(tmp_path / "a.tif") as picture:  # as another program reads it
        assert getattr(picture, "n_frames", 1) == SIDES[0] and picture.size == (SIDES[2], SIDES[1])


def test_colours_and_other_byte_orders(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (*SIDES, 3)).astype("u1")
    write_tiff(colours, tmp_path / "a.tiff")
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tiff"), colours)
    write_tiff(volume("u2").astype(">u2"), tmp_path / "b.tif")
    np.testing.assert_array_equal(read_tiff(tmp_path / "b.tif"), volume("u2"))


@pytest.mark.parametrize(
    ("values", "told"),
    [(np.zeros(SIDES), "float64"), (np.zeros(SIDES, "i2"), "int16"), (np.zeros((2, *SIDES), "u1"), "uint8 of shape")],
)
def test_what_pages_do_not_hold_is_refused(values: NDArray[Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"Such volumes are not written as TIFF: {told}"):
        write_tiff(values, tmp_path / "a.tif")
    assert not (tmp_path / "a.tif").exists()


def test_pages_that_differ_and_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [Image.fromarray(np.zeros((4, side), "u1")) for side in (5, 6)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"The pages of .*a.tif differ: page 1 of 4x6 L, the first of 4x5 L"):
        read_tiff(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(b"II*\0" + b"\xff" * 40)
    with pytest.raises(UserError, match=r"b.tif cannot be read as a TIFF file"):
        read_tiff(tmp_path / "b.tif")
    Image.fromarray(np.zeros((4, 5), "u1")).save(
        tmp_path / "c.tif", tiffinfo={270: "ImageJ=1.53\nimages=40\nslices=40"}
    )
    with pytest.raises(UserError, match=r"c.tif is a stack of ImageJ whose pages are not listed: images=40, and one"):
        read_tiff(tmp_path / "c.tif")
    Image.new("CMYK", (4, 5)).save(tmp_path / "d.tif")
    with pytest.raises(UserError, match=r"The numbers of .*d.tif are not read: 8 bits, sample format 1, as CMYK"):
        read_tiff(tmp_path / "d.tif")
    write_tiff(volume("u1"), tmp_path / "e.tif")
    monkeypatch.setenv("WASSERGAN_LARGEST_MIB", "1")
    monkeypatch.setattr(tiff, "_BYTES", 10**6)
    with pytest.raises(UserError, match=r"e.tif would fill too much memory"):
        read_tiff(tmp_path / "e.tif")
    monkeypatch.setattr(tiff, "MOST_PAGES", 3)
    with pytest.raises(UserError, match=r"e.tif has too many pages: more than 3"):
        read_tiff(tmp_path / "e.tif")


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("is_big", [False, True])
def test_too_many_pages_are_counted_before_pillow_looks_for_each_among_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Literal["little", "big"], is_big: bool
) -> None:
    def opened(*ignored: object, **also: object) -> None:
        raise AssertionError("Pillow was asked")

    width, sign = (8 if is_big else 4), (b"II" if order == "little" else b"MM")
    start = sign + (43 if is_big else 42).to_bytes(2, order) + (b"\0\x08\0\0" if is_big else b"")
    if is_big and order == "big":
        start = b"MM+\0" + start[4:]  # what Pillow takes for a BigTIFF
    step = 2 * width if is_big else 6  # a list of no entries, and the place of the next
    first = len(start) + width
    places = [(first + step * number).to_bytes(width, order) for number in range(2**14 + 2)]
    path = tmp_path / "a.tif"
    path.write_bytes(start + places[0] + b"".join(bytes(step - width) + place for place in places[1:]))
    monkeypatch.setattr("PIL.Image.open", opened)
    with pytest.raises(UserError, match="a.tif has too many pages: more than 16384"):
        read_tiff(path)


def test_pages_that_follow_themselves_end(tmp_path: Path) -> None:
    write_tiff(np.zeros((2, 4, 5), "u1"), tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    first = int.from_bytes(content[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(content[first : first + 2], "little")
    content[end : end + 4] = content[4:8]
    (tmp_path / "a.tif").write_bytes(content)
    assert read_tiff(tmp_path / "a.tif").shape == (1, 4, 5)


def test_signed_and_wide_numbers_are_refused_in_words(tmp_path: Path) -> None:
    def save(bits: int, kind: int, content: bytes) -> Path:
        """One page of 2 x 2, written by hand."""
        entries = [(256, 4, 2), (257, 4, 2), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, 2)]
        entries += [(279, 4, len(content)), (339, 3, kind)]
        offset = 8 + len(content)
        table = len(entries).to_bytes(2, "little")
        for tag, form, value in entries:
            table += tag.to_bytes(2, "little") + form.to_bytes(2, "little") + (1).to_bytes(4, "little")
            table += value.to_bytes(4, "little")
        path = tmp_path / f"{bits}_{kind}.tif"
        path.write_bytes(b"II*\0" + offset.to_bytes(4, "little") + content + table + bytes(4))
        return path

    assert read_tiff(save(32, 2, np.arange(-2, 2, dtype="<i4").tobytes())).ravel().tolist() == [-2, -1, 0, 1]
    for bits, kind, content in ((16, 2, np.zeros(4, "<i2")), (32, 1, np.zeros(4, "<u4")), (64, 3, np.zeros(4))):
        with pytest.raises(UserError, match="are not read|cannot be read"):
            read_tiff(save(bits, kind, content.tobytes()))


def test_what_a_tiff_is_read_as(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2, (12, 10, 11)).astype("u1")
    write_tiff(values, tmp_path / "one.tif")
    with pytest.raises(UserError, match=r"one.tif may be one volume, or many pictures: one TIFF file. Say crop=32"):
        open_source(tmp_path / "one.tif")
    assert open_source(tmp_path / "one.tif", crop=(4, 4, 4)).kind == "volume"
    assert open_source(tmp_path / "one.tif", layout="NHW").shape == (1, 10, 11)
    (tmp_path / "many").mkdir()
    for index in range(12):
        write_tiff(np.roll(values, index, 0)[:6], tmp_path / "many" / f"{index:02d}.tif")
    for data in (tmp_path / "many", f"{tmp_path}/many/*.tif"):
        source = open_source(data, layout="NDHW")
        assert source.kind == "volume" and len(source) == 12 and source.shape == (1, 6, 10, 11)
    assert open_source(tmp_path / "many", crop=(3, 4, 4)).reader.volumes.shape == (12, 1, 6, 10, 11)  # type: ignore[attr-defined]
    write_tiff(values[:5], tmp_path / "many" / "99.tif")
    with pytest.raises(
        UserError, match=r"99.tif differs from 00.tif: uint8 \(5, 10, 11\), where that is uint8 \(6, 10"
    ):
        open_source(tmp_path / "many", layout="NDHW")


@pytest.mark.parametrize("beside", ["Thumbs.db", "notes.txt", "preview.png"])
@pytest.mark.parametrize("asked", [{"layout": "NDHW"}, {"crop": (3, 3, 3)}])
def test_volumes_beside_other_files_are_volumes(beside: str, asked: dict[str, Any], tmp_path: Path) -> None:
    """A file that a system left there does not turn them into pictures of their first pages."""
    numbers, said = np.random.default_rng(0), list[str]()
    for index in range(12):
        write_tiff(numbers.integers(0, 255, (8, 7, 6)).astype(np.uint8), tmp_path / f"scan{index:02d}.tif")
    (tmp_path / beside).write_bytes(b"nothing")
    source = open_source(tmp_path, **asked, log=said.append)
    assert source.kind == "volume" and source.shape == ((1, 3, 3, 3) if "crop" in asked else (1, 8, 7, 6))
    assert any(each.startswith(f"Passed over in {tmp_path}: 1 ") and beside in each for each in said)
