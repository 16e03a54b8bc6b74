import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from wassergan.data import ColumnConditions, Source, open_source
from wassergan.data.readers.paths import matching_files
from wassergan.data.readers.shards import index_shards
from wassergan.errors import UserError


def png(level: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (level, 255 - level, 7)).save(file, "png")
    return file.getvalue()


def write(path: Path, members: dict[str, bytes], *, kind: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=kind) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1.5  # a broken second makes an extended header, as WebDataset does
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards with 15 pictures each, and a label beside each picture."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(2):
        members: dict[str, bytes] = {}
        for index in range(15):
            key = f"{shard:02}{index:04}"
            members |= {f"{key}.png": png(100 * shard + index), f"{key}.cls": b"1", f"{key}.json": b"{}" * 400}
        write(folder / f"part-{shard:03}.tar", members)
    return folder


@pytest.mark.parametrize("way", ["folder", "braces", "list", "stars", "mixed"])
def test_pictures_come_in_the_order_of_shards_and_members(shards: Path, way: str) -> None:
    data = {
        "folder": shards,
        "braces": shards / "part-{000..001}.tar",
        "list": shards / "part-{000,001}.tar",
        "stars": shards / "part-*.tar",
        "mixed": shards / "part-{00,11}?.tar",
    }[way]
    said: list[str] = []
    source = open_source(data, log=said.append)
    assert (len(source), source.shape, source.kind) == (30, (3, 6, 8), "image")
    levels = source.values(torch.arange(30))[:, 0, 0, 0].tolist()
    assert levels == [*range(15), *range(100, 115)]
    assert said == [
        "Found 30 pictures in 2 tar files.",
        f"Passed over in {source.name}: 30 of .cls (part-000.tar/000000.cls, part-000.tar/000001.cls, "
        "part-000.tar/000002.cls, ...), 30 of .json (part-000.tar/000000.json, part-000.tar/000001.json, "
        "part-000.tar/000002.json, ...).",
    ]
    assert len(open_source(shards / "part-001.tar")) == 15


def test_shards_train_like_the_folder_that_they_hold(shards: Path, tmp_path: Path) -> None:
    for path in shards.glob("*.tar"):
        with tarfile.open(path) as archive:
            archive.extractall(tmp_path / "unpacked", filter="data")
    packed, unpacked = open_source(shards), open_source(tmp_path / "unpacked")
    assert torch.equal(packed.train(torch.arange(27)), unpacked.train(torch.arange(27)))


def test_large_shards_are_read_when_needed(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = open_source(shards).values(torch.tensor([4, 20, 4]))
    monkeypatch.setattr("wassergan.data.readers.images.CACHE_LIMIT_BYTES", 10)
    assert torch.equal(open_source(shards).values(torch.tensor([4, 20, 4])), kept)


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("name", ["a.png", "d" * 90 + "/" + "e" * 80 + ".png", "d" * 120 + "é.PNG", "./x/b.jpeg"])
def test_members_are_found_as_tarfile_finds_them(tmp_path: Path, kind: int, name: str) -> None:
    if kind == tarfile.USTAR_FORMAT and len(name) > 100 and "/" not in name:
        pytest.skip("this format has no such names")
    members = {"first.png": png(1), name: png(2), "label.txt": b"x", "last.png": png(3)}
    path = write(tmp_path / "a.tar", members, kind=kind)
    with tarfile.open(path, "a", format=kind) as archive:
        archive.add(Path(__file__).parent, "folder.png", recursive=False)
        archive.add(__file__, "folder.png/file.txt")
    with tarfile.open(path) as archive:
        expected = [
            (m.name, m.offset_data, m.size) for m in archive if m.isreg() and m.name.lower().endswith(("png", "jpeg"))
        ]
    found = [(m.name, m.offset, m.size) for m in index_shards([path])[0]]
    assert found == expected and len(found) == 3


def test_links_folders_and_hidden_members_are_no_pictures(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", {"a.png": png(1), "._a.png": b"resource"})
    with tarfile.open(path, "a") as archive:
        for name, kind in (
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("folder.png", tarfile.DIRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert [member.name for member in index_shards([path])[0]] == ["a.png"]


@pytest.mark.parametrize("name", ["../a.png", "x/../../a.png", "/etc/a.png"])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="a.tar holds a name that no picture should have"):
        open_source(write(tmp_path / "a.tar", {"a.png": png(1), name: png(2)}))


def test_pictures_of_more_bytes_than_any_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wassergan.data.readers.shards.LARGEST_MEMBER_BYTES", 50)
    with pytest.raises(UserError, match=r"A picture in .*a.tar is too large: 'a.png' has \d+ bytes"):
        open_source(write(tmp_path / "a.tar", {"a.png": png(1)}))


def test_a_decompression_bomb_is_an_unreadable_picture(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wassergan.data.readers.limits.largest_pixels", lambda: 20)
    with pytest.raises(
        UserError, match=r"The picture '000000.png' in .*part-000.tar cannot be read: .*pixels, allowed are 20"
    ):
        open_source(shards)


def test_an_unreadable_member_is_named_or_left_out(shards: Path) -> None:
    write(shards / "part-002.tar", {"bad.png": b"no picture", "good.png": png(9)})
    with pytest.raises(UserError, match=r"The picture 'bad.png' in .*part-002.tar cannot be read"):
        open_source(shards)
    said: list[str] = []
    assert len(open_source(shards, skip_unreadable=True, log=said.append)) == 31
    assert "Skipped 1 unreadable picture of 32, the first: 'bad.png' in" in said[1]


def test_shards_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No pictures \(PNG, .*\) in a.tar: 1 tar files"):
        open_source(write(tmp_path / "a.tar", {"a.txt": b""}))
    (tmp_path / "b.tar").write_bytes(b"")
    with pytest.raises(UserError, match="No pictures"):
        open_source(tmp_path / "b.tar")


def test_damaged_and_truncated_shards_are_refused_or_read_whatever_byte_is_hit(tmp_path: Path) -> None:
    good = write(
        tmp_path / "good.tar", {f"{index}.png": png(index) for index in range(3)} | {"é" * 70 + ".png": png(7)}
    )
    content = good.read_bytes()
    bad = tmp_path / "bad.tar"
    for length in range(100, len(content) - 10240 % 512, 487):
        bad.write_bytes(content[:length])
        try:
            assert len(index_shards([bad])[0]) <= 4
        except UserError:
            pass
    for place in range(0, len(content), 7):
        bad.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        try:
            assert len(index_shards([bad])[0]) <= 4
        except UserError:
            pass


def header(size: bytes, *, kind: bytes = b"0", name: bytes = b"a.png") -> bytes:
    block = bytearray(512)
    block[: len(name)], block[124 : 124 + len(size)], block[156:157], block[257:263] = name, size, kind, b"ustar\0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "content",
    [
        header(b"77777777777\0"),  # promises 8 GiB
        header(b"\xff" * 12),  # a negative size
        header(b"\x80" + b"\xff" * 11),  # more than there are atoms
        header(b"-0000000600\0"),
        header(b"00000000010\0", kind=b"x") + b"0 path=x".ljust(512, b"\0"),  # a record of no length
        header(b"00000000010\0", kind=b"x") + b"9999 a=b".ljust(512, b"\0"),
        header(b"00010000000\0", kind=b"L") + bytes(2**21),  # a name of two million letters
        header(b"00000000013\0", kind=b"x") + b"11 size=-1\n".ljust(512, b"\0") + header(b"00000000000\0"),
        header(b"00000000012\0", kind=b"x") + b"10 size=-1".ljust(512, b"\0") + header(b"00000000000\0"),
        b"this is no tar file".ljust(512, b"."),
    ],
)
def test_hostile_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"a.tar (is damaged or cut short|cannot be read as a tar file)"):
        open_source(tmp_path / "a.tar")


def test_a_size_in_an_extended_header_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    picture = png(5)
    size = b"%d" % len(picture)
    record = b"%d size=%s\n" % (len(size) + 9, size)
    extended = header(b"%011o\0" % len(record), kind=b"x") + record.ljust(512, b"\0")
    path.write_bytes(extended + header(b"00000000000\0") + picture.ljust(512, b"\0") + header(b"00000000000\0"))
    first, second = index_shards([path])[0]
    assert (first.size, second.size) == (len(picture), 0) and first.stream().read() == picture


def test_patterns_stand_for_files(tmp_path: Path) -> None:
    for name in ("a-0.tar", "a-1.tar", "b-0.tar"):
        (tmp_path / name).touch()
    names = lambda pattern: [path.name for path in matching_files(str(tmp_path / pattern))]  # noqa: E731
    assert names("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert names("{a,b}-{0..1}.tar") == ["a-0.tar", "a-1.tar", "b-0.tar", "b-1.tar"]
    assert names("{b,a}-*.tar") == ["b-0.tar", "a-0.tar", "a-1.tar"]
    with pytest.raises(UserError, match="stands for too many files: more than 100000"):
        names("{0..999}{0..999}{0..999}")


def test_files_that_are_missing_or_do_not_belong_together_are_refused(
    shards: Path, refused: Callable[..., str]
) -> None:
    assert "There is no" in refused("info", shards / "part-{000..002}.tar")
    assert "No file matches" in refused("info", shards / "x*.tar")
    np.save(shards / "a.npy", np.arange(40.0))
    assert "cannot be read together: 3 files" in refused("info", shards / "{part-000.tar,part-001.tar,a.npy}")


def test_pictures_beside_a_tar_file_are_still_a_folder_of_pictures(shards: Path) -> None:
    for index in range(20):
        (shards / f"{index}.png").write_bytes(png(index))
    assert len(open_source(shards)) == 20


def levels_of(source: Source) -> list[str]:
    assert source.context is not None and isinstance(source.conditions, ColumnConditions)
    names = source.conditions.codec.columns[0].names
    return [names[place] for place in source.context.at(torch.arange(len(source))).argmax(1).tolist()]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Shards as WebDataset writes them; members of a sample stand in any order, keys have dots and folders."""
    for shard in range(2):
        members: dict[str, bytes] = {}
        for index in range(10):
            key, odd = f"{'ab'[index % 2]}/x{index}", index % 2
            parts = {
                f"{key}.left.png": png(100 * shard + index),
                f"{key}.cls": b"%d\n" % odd,
                f"{key}.json": b'{"kind": "k%d", "size": %d, "box": [1]}' % (odd, odd),
                f"{key}.txt": b"word%d" % odd,
            }
            members |= dict(sorted(parts.items(), reverse=bool(odd)))
        write(tmp_path / f"{shard}.tar", members)
    return tmp_path / "{0,1}.tar"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("cls", ("0", "1")), ("label", ("0", "1")), ("kind", ("k0", "k1")), ("size", ("0", "1")),
     ("txt", ("word0", "word1")), ("folder", ("a", "b"))],
)  # fmt: skip
def test_labels_of_shards_are_members_fields_and_folders(
    labelled: Path, condition: str, expected: tuple[str, str]
) -> None:
    said: list[str] = []
    source = open_source(labelled, condition=[condition], log=said.append)
    assert levels_of(source) == [expected[index % 2] for index in range(10)] * 2
    suffix = {"label": "cls", "kind": "json", "size": "json"}.get(condition, condition)
    assert len(said) == 2 and f"of .{suffix} " not in said[1]


def test_a_table_names_members_of_shards(labelled: Path) -> None:
    names = [f"{shard}.tar/{'ab'[index % 2]}/x{index}.left.png" for shard in range(2) for index in range(10)]
    rows = {name: str(place % 3) for place, name in enumerate(names)}
    told = pandas.DataFrame({"key": list(rows)[::-1], "label": list(rows.values())[::-1]})
    assert levels_of(open_source(labelled, labels=told)) == list(rows.values())
    told["key"] = [name.partition("/")[2] for name in told["key"]]
    with pytest.raises(UserError, match="10 names in column key of .* could be of several files"):
        open_source(labelled, labels=told)


def test_several_tars_without_folders_are_classes(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write(tmp_path / f"{name}.tar", {f"{index}.png": png(index) for index in range(10)})
    assert levels_of(open_source(tmp_path, condition=["folder"])) == ["cat.tar"] * 10 + ["dog.tar"] * 10
    with pytest.raises(UserError, match="The condition folder of cat.tar is the same in all 10 rows: 'cat.tar'"):
        open_source(tmp_path / "cat.tar", condition=["folder"])


@pytest.mark.parametrize(
    ("members", "condition", "message"),
    [
        ({}, "cls", "10 of 20 pictures have no .cls beside them"),
        ({f"{index}.cls": b" " for index in range(10, 20)}, "cls", "'10.cls' in .* is empty"),
        ({f"{index}.cls": b"\xff" for index in range(10, 20)}, "cls", "'10.cls' in .* is no text"),
        (
            {f"{index}.json": b"[1]" for index in range(20)},
            "a",
            'is no JSON object: a list. Write it like {"label": 3}.',
        ),
        ({f"{index}.json": b"{" for index in range(20)}, "a", "'0.json' in .* is no JSON"),
        ({f"{index}.json": b"{}" for index in range(20)}, "a", "'0.json' in .* does not say what a is: nothing"),
        ({f"{index}.json": b'{"a": []}' for index in range(20)}, "a", "does not say what a is: a list or an object"),
        ({}, "nothing", "holds no labels to condition on: nothing"),
    ],
)
def test_labels_that_are_missing_or_damaged_are_refused(
    tmp_path: Path, members: dict[str, bytes], condition: str, message: str
) -> None:
    pictures = {f"{index}.png": png(index) for index in range(20)}
    classes = {f"{index}.cls": b"%d" % (index % 2) for index in range(10)}
    write(tmp_path / "a.tar", pictures | classes | members)
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / "a.tar", condition=[condition])


def test_a_label_that_stands_twice_for_a_picture_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", {f"{index}.png": png(index) for index in range(20)})
    with tarfile.open(path, "a") as tar:
        for index in (*range(20), 7):
            info = tarfile.TarInfo(f"{index}.cls")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"%d" % (index % 2)))
    assert len(open_source(path)) == 20
    with pytest.raises(UserError, match=r"A sample has several .cls: '7.cls' more than once in .*a.tar"):
        open_source(path, condition=["cls"])


def test_samples_with_several_pictures_are_pointed_out(tmp_path: Path) -> None:
    photographs = {f"{index}.jpg.png": png(index) for index in range(10)}
    masks = {f"{index}.seg.png": png(100 + index) for index in range(10)}
    said: list[str] = []
    source = open_source(write(tmp_path / "a.tar", photographs | masks), log=said.append)
    assert len(source) == 20
    told = "Some samples hold several pictures (10 of .jpg.png, 10 of .seg.png): each is a picture of its own."
    assert said == ["Found 20 pictures in 1 tar file.", told]
