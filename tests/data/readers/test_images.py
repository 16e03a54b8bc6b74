from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wassergan.data import Source, open_source
from wassergan.errors import UserError


def gradient(height: int = 6, width: int = 8) -> np.ndarray:
    """A picture whose corners differ: red grows to the right, green downwards."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([30 * columns, 40 * rows, np.full((height, width), 90)], axis=2).astype(np.uint8)


def flat(colour: tuple[int, ...] | int, mode: str = "RGB", size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 20 good coloured pictures."""
    place = tmp_path / "pictures"
    place.mkdir()
    for index in range(20):
        flat((10 * index, 255 - index, 7)).save(place / f"good-{index:02}.png")
    return place


def only(source: Source, name: str) -> np.ndarray:
    """The picture of that name, as the source reads it."""
    names = [mark.path.name for mark in source.reader.paths]  # type: ignore[attr-defined]
    return source.values(torch.tensor([names.index(name)]))[0].numpy()


def test_png_and_webp_come_in_exactly_and_jpeg_nearly(folder: Path) -> None:
    picture = Image.fromarray(gradient())
    picture.save(folder / "a.png")
    picture.save(folder / "b.webp", lossless=True)
    flat((200, 100, 50)).save(folder / "c.jpeg", quality=95)
    (folder / "sub").mkdir()
    picture.save(folder / "sub" / "D.PNG")
    (folder / "notes.txt").write_text("not a picture")
    source = open_source(folder)
    assert (len(source), source.shape, source.kind) == (24, (3, 6, 8), "image")
    for name in ("a.png", "b.webp", "D.PNG"):
        assert (only(source, name) == gradient()).all()
    assert np.abs(only(source, "c.jpeg").astype(int) - [200, 100, 50]).max() <= 3


def test_transparent_parts_are_laid_on_white(folder: Path) -> None:
    flat((255, 0, 0, 0), "RGBA").save(folder / "clear.png")
    flat((255, 0, 0, 51), "RGBA").save(folder / "fifth.png")
    palette = flat(3, "P")
    palette.putpalette([0] * 9 + [0, 200, 0])
    palette.save(folder / "palette.png")
    palette.save(folder / "hole.png", transparency=3)
    flat((40, 0), "LA").save(folder / "grey.png")
    source = open_source(folder)
    assert (only(source, "clear.png") == 255).all()
    assert np.abs(only(source, "fifth.png").astype(int) - [255, 204, 204]).max() <= 1
    assert (only(source, "palette.png") == [0, 200, 0]).all()
    assert (only(source, "hole.png") == 255).all()
    assert (only(source, "grey.png") == 255).all()


# The EXIF orientations and what puts the stored picture upright.
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda a: a), (3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)],
)
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int, upright: Callable[..., np.ndarray]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for index in range(20):
        Image.fromarray(gradient()).save(tmp_path / f"{index:02}.png", exif=exif)
    Image.fromarray(gradient() + np.uint8(1)).save(tmp_path / "other.png", exif=exif)
    source = open_source(tmp_path)
    expected = upright(gradient())
    assert source.shape == (3, *expected.shape[:2])
    assert (only(source, "00.png") == expected).all()


def test_grey_only_if_every_picture_is_or_if_asked(folder: Path, tmp_path: Path) -> None:
    assert open_source(folder).shape[0] == 3
    assert open_source(folder, colour="grey").shape[0] == 1
    for number, path in enumerate(sorted(folder.iterdir())):
        flat(77 + number, "L").save(path)
    source = open_source(folder)
    assert source.shape[0] == 1 and (only(source, "good-00.png") == 77).all()
    assert open_source(folder, colour="rgb").shape[0] == 3
    with pytest.raises(UserError, match=r"Unknown colour: 'gray'. Did you mean 'grey'\?"):
        open_source(folder, colour="gray")


def test_sizes_the_pictures_own_if_shared_and_small_else_64_else_as_asked(folder: Path) -> None:
    said: list[str] = []
    assert open_source(folder, log=said.append).shape == (3, 6, 8) and said == []
    assert open_source(folder, size=(5, 7), log=said.append).shape == (3, 5, 7)
    assert said == ["Pictures are scaled and centre-cropped to 5x7."]
    flat((1, 2, 3), size=(30, 10)).save(folder / "wide.png")
    assert open_source(folder).shape == (3, 64, 64)
    for number, path in enumerate(folder.iterdir()):
        flat((1, 2, number), size=(8, 129)).save(path)
    assert open_source(folder).shape == (3, 64, 64)


def test_crops_keep_the_centre_and_the_proportions(folder: Path) -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 255
    Image.fromarray(wide).save(folder / "wide.png")
    picture = only(open_source(folder, size=(8, 8)), "wide.png")
    assert (picture[:, 1:7] == 255).all()


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No pictures \(PNG, .*\) under .*: it is empty"):
        open_source(tmp_path)
    for name in "abcde":
        (tmp_path / f"{name}.txt").write_text("")
    with pytest.raises(UserError, match=r"it holds a.txt, b.txt, c.txt, d.txt \.\.\."):
        open_source(tmp_path)


def truncated_png(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:90])


def truncated_jpeg(path: Path) -> None:
    """Its header is whole, so that only decoding finds out."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="jpeg", quality=95)
    path.write_bytes(path.read_bytes()[:-60])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("this is no picture"),
    "truncated": truncated_png,
    "truncated body": truncated_jpeg,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_unreadable_picture_is_named(folder: Path, damage: str) -> None:
    bad = folder / "good-07b.png"
    DAMAGE[damage](bad)
    with pytest.raises(UserError, match=r"The picture .*good-07b.png cannot be read: .*skip_unreadable=True"):
        source = open_source(folder)
        source.values(torch.arange(len(source)))


@pytest.mark.parametrize("damage", DAMAGE)
def test_unreadable_pictures_are_counted_and_left_out_if_asked(folder: Path, damage: str) -> None:
    said: list[str] = []
    DAMAGE[damage](folder / "good-07b.png")
    source = open_source(folder, skip_unreadable=True, log=said.append)
    pictures = source.values(torch.arange(len(source)))
    assert len(pictures) == len(source)
    assert (pictures[..., 2] == 7).all()  # every picture that comes is a good one
    assert len(said) == 1 and said[0].startswith("Skipped ") and "good-07b.png" in said[0]


def test_the_stand_in_of_an_unreadable_picture_comes_from_the_same_side_of_the_split(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wassergan.data.readers.images.CACHE_LIMIT_BYTES", 10)  # decoded when needed
    for path in sorted(folder.iterdir())[::2]:
        truncated_jpeg(path)
    source = open_source(folder, skip_unreadable=True, heldout=0.3)
    sides = [
        {tuple(row) for row in source.values(rows).flatten(1).tolist()}
        for rows in (source.split.train, source.split.heldout)
    ]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize("damage", ["text", "truncated", "truncated body"])
def test_a_folder_of_nothing_but_unreadable_pictures_is_refused(folder: Path, damage: str) -> None:
    for path in folder.iterdir():
        DAMAGE[damage](path)
    with pytest.raises(UserError, match="None of the pictures can be "):
        source = open_source(folder, skip_unreadable=True)
        source.values(torch.tensor([0]))


def test_pictures_too_many_to_keep_are_decoded_each_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = open_source(folder).values(torch.tensor([4, 2, 4]))
    monkeypatch.setattr("wassergan.data.readers.images.CACHE_LIMIT_BYTES", 10)
    assert torch.equal(open_source(folder).values(torch.tensor([4, 2, 4])), kept)


def test_a_decompression_bomb_is_an_unreadable_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wassergan.data.readers.limits.largest_pixels", lambda: 20)
    with pytest.raises(UserError, match="good-00.png cannot be read: .*pixels, allowed are 20"):
        open_source(folder)
