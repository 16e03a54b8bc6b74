"""Pictures of every format, depth and colour mode come in as what they show."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from wassergan.data import open_source
from wassergan.data.readers.decoding import decode, read_header
from wassergan.errors import UserError
from wassergan.plots import write_png16

NOISE = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "gif", "jfif", "jpe", "webp", "TIF"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    for number, pixels in enumerate(NOISE):
        kind = {"gif": "GIF", "jfif": "JPEG", "jpe": "JPEG", "tif": "TIFF", "tiff": "TIFF"}.get(suffix.lower(), suffix)
        image = Image.fromarray(pixels // 86 * 86)  # few colours: a GIF has 256
        image.save(tmp_path / f"{number:02}.{suffix}", kind, **({"lossless": True} if suffix == "webp" else {}))
    values = open_source(tmp_path).values(torch.arange(12)).numpy()
    if kind == "JPEG":
        assert values.shape == NOISE.shape
    else:
        assert (values == NOISE // 86 * 86).all()


def test_the_first_page_and_frame_is_used_and_that_is_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (200 * (place > 0), 0, 0)) for place in range(3)]
    for name in ("a.gif", "b.tif", "c.webp", "d.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    for number, pixels in enumerate(NOISE):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    said: list[str] = []
    source = open_source(tmp_path, log=said.append)
    assert said == ["4 of 16 pictures have several pages or frames; the first of each is used."]
    firsts = source.values(torch.arange(16)).numpy()[-4:]  # letters come after digits
    assert firsts.max() == 0


def save16(path: Path, levels: np.ndarray, way: str) -> None:
    match way:
        case "png" | "png rgb":
            write_png16(levels, path.with_suffix(".png"))
        case "tif":
            Image.fromarray(levels).save(path.with_suffix(".tif"))
        case "tif big":
            height, width = levels.shape
            Image.frombytes("I;16B", (width, height), levels.astype(">u2").tobytes()).save(path.with_suffix(".tif"))
        case "tif whole":
            Image.fromarray(levels.astype(np.int32)).save(path.with_suffix(".tif"))


@pytest.mark.parametrize("way", ["png", "png rgb", "tif", "tif big", "tif whole"])
def test_twelve_bits_in_sixteen_keep_every_level(tmp_path: Path, way: str) -> None:
    shape = (12, 16, 16, 3) if "rgb" in way else (12, 16, 16)
    levels = np.random.default_rng(1).integers(0, 4096, shape, dtype=np.uint16)
    for number, picture in enumerate(levels):
        save16(tmp_path / f"{number:02}", picture, way)
    said: list[str] = []
    source = open_source(tmp_path, log=said.append)
    assert source.codec.dtype == "uint16" and source.shape == (3 if "rgb" in way else 1, 16, 16)
    read = source.values(torch.arange(12))
    assert (read.numpy() == levels).all()
    coded = source.codec.encode(read)
    assert coded.min() == -1 and coded.max() == 1  # the set's range is that of the networks
    back = source.codec.decode_numpy(coded)
    assert back.dtype == np.uint16 and (back == levels).all()
    assert f"hold levels from {levels.min()} to {levels.max()} of 65535" in said[0]


def test_eight_bits_among_sixteen_are_widened_and_that_is_said(tmp_path: Path) -> None:
    grey = NOISE[..., 0]
    for number, pixels in enumerate(grey):  # not by our own writer, whose pictures are passed over beside others
        Image.fromarray(pixels.astype(np.uint16) * 100 + 7).save(tmp_path / f"{number:02}.png")
    Image.fromarray(grey[0]).save(tmp_path / "99.png")
    said: list[str] = []
    source = open_source(tmp_path, log=said.append)
    assert (source.values(torch.tensor([12])).numpy()[0] == grey[0].astype(int) * 257).all()
    assert said[0] == "1 of 13 pictures have 8 bits; they are taken into the 16 of the others, times 257."


def test_sixteen_bits_are_scaled_turned_and_made_grey(tmp_path: Path) -> None:
    ramp = (np.arange(12, dtype=np.uint16)[:, None] * 1000 + np.arange(8, dtype=np.uint16)).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramp).save(tmp_path / "a.png", exif=exif)
    header = read_header(tmp_path / "a.png")
    assert header.size == (8, 12) and header.bits == 16 and header.grey
    assert (decode(tmp_path / "a.png", (8, 12), grey=True, bits=16) == np.rot90(ramp, -1)).all()
    half = decode(tmp_path / "a.png", (4, 6), grey=True, bits=16).astype(float)
    assert abs(half.mean() - ramp.mean()) < 100
    assert (decode(tmp_path / "a.png", (8, 12), grey=False, bits=16)[..., 1] == np.rot90(ramp, -1)).all()
    write_png16(np.stack([ramp, ramp // 2, ramp // 4], 2), tmp_path / "c.png")
    expected = 0.299 * ramp + 0.587 * (ramp // 2) + 0.114 * (ramp // 4)
    assert np.abs(decode(tmp_path / "c.png", (12, 8), grey=True, bits=16) - expected).max() <= 0.51


def png(width: int, bits: int, colours: int, row: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of one row (W3C, PNG, third edition)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, 1, bits, colours, 0, 0, 0)
    parts = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_transparent_parts_of_sixteen_bits_are_laid_on_white(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(2, 16, 6, struct.pack(">8H", 100, 200, 300, 65535, 100, 200, 300, 0)))
    assert decode(tmp_path / "a.png", (1, 2), grey=False, bits=16)[0].tolist() == [[100, 200, 300], [65535] * 3]
    (tmp_path / "b.png").write_bytes(png(2, 16, 0, struct.pack(">2H", 5, 6), (b"tRNS", struct.pack(">H", 5))))
    assert decode(tmp_path / "b.png", (1, 2), grey=True, bits=16)[0].tolist() == [65535, 6]


@pytest.mark.parametrize("texts", ["exif as text", "raw profile", "long", "long at the end"])
def test_odd_and_long_texts_are_no_reason_to_refuse(tmp_path: Path, texts: str) -> None:
    info = PngImagePlugin.PngInfo()
    match texts:
        case "exif as text":
            info.add_text("exif", "Orientation: 1")
        case "raw profile":
            info.add_text("Raw profile type exif", "\nexif\n 12\nno hex")
        case _:
            info.add_text("workflow", "x" * 3_000_000, zip=True)
    for number, pixels in enumerate(NOISE):
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png", pnginfo=info)
        if texts == "long at the end":
            content = (tmp_path / f"{number:02}.png").read_bytes()
            start, end = content.index(b"zTXt") - 4, content.index(b"IDAT") - 4
            last = content.index(b"IEND") - 4
            moved = content[:start] + content[end:last] + content[start:end] + content[last:]
            (tmp_path / f"{number:02}.png").write_bytes(moved)
    assert (open_source(tmp_path).values(torch.arange(12)).numpy() == NOISE).all()


@pytest.mark.parametrize("kind", ["floats", "wide", "negative"])
def test_values_that_no_picture_has_are_refused(tmp_path: Path, kind: str) -> None:
    values = {"floats": NOISE[0, ..., 0] / np.float32(255), "wide": NOISE[0, ..., 0].astype(np.int32) * 1000,
              "negative": NOISE[0, ..., 0].astype(np.int32) - 128}[kind]  # fmt: skip
    Image.fromarray(values).save(tmp_path / "a.tif")  # type: ignore[arg-type]
    for number, pixels in enumerate(NOISE):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    with pytest.raises(UserError, match=r"a.tif cannot be read: it holds (floating|whole).*give .* as .npy"):
        open_source(tmp_path)


# The colours that each mode shows, and how near Pillow's own formats bring them.
MODES = {
    "1": (1, (255, 255, 255), 0),
    "L": (77, (77, 77, 77), 0),
    "LA": ((77, 255), (77, 77, 77), 0),
    "RGBA": ((200, 100, 50, 255), (200, 100, 50), 0),
    "CMYK": ((55, 155, 205, 0), (200, 100, 50), 1),
    "YCbCr": ((124, 86, 182), (200, 100, 50), 3),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_modes_show_their_colours(tmp_path: Path, mode: str, suffix: str) -> None:
    stored, shown, off = MODES[mode]
    try:
        Image.new(mode, (8, 8), stored).save(tmp_path / f"a.{suffix}")  # type: ignore[arg-type]
    except OSError:
        pytest.skip(f"no {suffix} has this mode")
    if (mode, suffix) == ("YCbCr", "tif"):
        with Image.open(tmp_path / "a.tif") as own:
            if own.mode != mode:
                pytest.skip("Pillow 10 takes it for another mode and cannot read what it wrote")
    found = decode(tmp_path / f"a.{suffix}", (8, 8), grey=False)
    assert np.abs(found.astype(int) - shown).max() <= off + 3 * (suffix == "jpg")


def test_pages_that_go_in_a_circle_end(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(NOISE[0]).save(file, "TIFF")
    content = bytearray(file.getvalue())
    start = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    struct.pack_into("<I", content, start + 2 + 12 * count, start)  # the next page is this one
    (tmp_path / "a.tif").write_bytes(bytes(content))
    assert read_header(tmp_path / "a.tif").size == (8, 8)
