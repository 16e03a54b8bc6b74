"""What tells the data of a run from others when it is resumed: every kind of change, and nothing else."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wassergan.config.settings import TrainSettings
from wassergan.data import open_source
from wassergan.data import source as limits
from wassergan.data.readers import images
from wassergan.errors import UserError
from wassergan.runs.train import resume_run, train_run
from wassergan.session import fingerprint as fingerprints
from wassergan.session.fingerprint import fingerprint, require_same_data
from wassergan.session.state import CheckpointState

LONG_AGO = (1, 1)
COUNT, CHANGED = 90, 61


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (4, 4), dtype=np.uint8)


def bmp(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "BMP")
    return file.getvalue()


def pictures(place: Path) -> Path:
    data = place / "pictures"
    for kind in ("cats", "dogs"):
        (data / kind).mkdir(parents=True)
    for number in range(COUNT):
        (data / ("cats" if number % 2 else "dogs") / f"{number:03}.bmp").write_bytes(bmp(pixels(number)))
    return data


def write_tar(path: Path, members: list[tuple[str, bytes]], *, time: int = 0) -> None:
    with tarfile.open(path, "w") as shard:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), time
            shard.addfile(member, io.BytesIO(content))


def read_tar(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as shard:
        return [(each.name, shard.extractfile(each).read()) for each in shard]  # type: ignore[union-attr]


def shard(place: Path) -> Path:
    members = [(f"{number:03}{end}", content) for number in range(COUNT)
               for end, content in ((".bmp", bmp(pixels(number))), (".cls", b"%d" % (number % 3)))]  # fmt: skip
    write_tar(place / "a.tar", members)
    return place / "a.tar"


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(COUNT, 3))


def npy(place: Path) -> Path:
    np.save(place / "a.npy", rows())
    return place / "a.npy"


def parquet(place: Path) -> Path:
    pyarrow.parquet.write_table(pa.table(dict(zip("abc", rows().T, strict=True))), place / "a.parquet")
    return place / "a.parquet"


def csv(place: Path) -> Path:
    lines = [f"{value[0]:.4f},{'ab'[number % 2]},{number % 5}" for number, value in enumerate(rows())]
    (place / "a.csv").write_text("\n".join(["x,level,count", *lines, ""]), encoding="utf-8")
    return place / "a.csv"


MAKERS = {"pictures": pictures, "shard": shard, "npy": npy, "parquet": parquet, "csv": csv}
LABELLED = {"pictures": "folder", "shard": "cls"}


def a_picture(data: Path) -> Path:
    return sorted(data.rglob("*.bmp"))[CHANGED]


def one_pixel(data: Path) -> None:
    path = a_picture(data)
    former = path.stat()
    changed = np.asarray(Image.open(path)).copy()
    changed[2, 2] ^= 1
    path.write_bytes(bmp(changed))
    os.utime(path, ns=(former.st_atime_ns, former.st_mtime_ns))
    assert path.stat().st_size == former.st_size


def renamed(data: Path) -> None:
    a_picture(data).rename(a_picture(data).with_name(a_picture(data).stem + "b.bmp"))  # the order stays


def added(data: Path) -> None:
    (data / "dogs" / "new.bmp").write_bytes(bmp(pixels(9999)))


def removed(data: Path) -> None:
    a_picture(data).unlink()


def one_for_another(data: Path) -> None:
    added(data)
    removed(data)


def two_swapped(data: Path) -> None:
    first, second = sorted(data.rglob("*.bmp"))[CHANGED : CHANGED + 2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def other_classes(data: Path) -> None:
    (data / "cats").rename(data / "hats")


def of_tar(change: Callable[[list[tuple[str, bytes]]], None]) -> Callable[[Path], None]:
    def changed(data: Path) -> None:
        members = read_tar(data)
        change(members)
        write_tar(data, members)

    changed.__name__ = change.__name__
    return changed


def one_member(members: list[tuple[str, bytes]]) -> None:
    changed = pixels(CHANGED)
    changed[2, 2] ^= 1
    members[2 * CHANGED] = (members[2 * CHANGED][0], bmp(changed))


def a_member_s_name(members: list[tuple[str, bytes]]) -> None:
    members[2 * CHANGED] = ("061x.bmp", members[2 * CHANGED][1])
    members[2 * CHANGED + 1] = ("061x.cls", members[2 * CHANGED + 1][1])


def a_member_s_label(members: list[tuple[str, bytes]]) -> None:
    members[2 * CHANGED + 1] = (members[2 * CHANGED + 1][0], b"2")


def of_rows(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def changed(data: Path) -> None:
        if data.suffix == ".npy":
            np.save(data, change(rows()))
        else:
            pyarrow.parquet.write_table(pa.table(dict(zip("abc", change(rows()).T, strict=True))), data)

    changed.__name__ = change.__name__
    return changed


def one_value(array: np.ndarray) -> np.ndarray:
    array[CHANGED, 1] = np.nextafter(array[CHANGED, 1], 9)
    return array


def rows_swapped(array: np.ndarray) -> np.ndarray:
    array[[CHANGED, CHANGED + 1]] = array[[CHANGED + 1, CHANGED]]
    return array


def columns_swapped(array: np.ndarray) -> np.ndarray:
    return array[:, [1, 0, 2]]


def of_text(change: Callable[[list[str]], None]) -> Callable[[Path], None]:
    def changed(data: Path) -> None:
        lines = data.read_text(encoding="utf-8").splitlines()
        change(lines)
        data.write_text("\n".join([*lines, ""]), encoding="utf-8")

    changed.__name__ = change.__name__
    return changed


def a_cell(lines: list[str]) -> None:
    lines[CHANGED] = "0.5432" + lines[CHANGED][lines[CHANGED].index(",") :]


def a_level(lines: list[str]) -> None:
    lines[CHANGED] = lines[CHANGED].translate(str.maketrans("ab", "ba"))


def lines_swapped(lines: list[str]) -> None:
    lines[CHANGED], lines[CHANGED + 1] = lines[CHANGED + 1], lines[CHANGED]


def a_level_s_name(lines: list[str]) -> None:
    lines[1:] = [line.replace("a", "A") for line in lines[1:]]


def a_column_s_name(lines: list[str]) -> None:
    lines[0] = lines[0].replace("count", "number")


CHANGES: list[tuple[str, Callable[[Path], None], str]] = [
    ("pictures", one_pixel, "other values"),
    ("pictures", two_swapped, "other values"),
    ("pictures", renamed, "other names"),
    ("pictures", added, "another number of samples"),
    ("pictures", removed, "another number of samples"),
    ("pictures", one_for_another, "other names"),
    ("pictures", other_classes, "other names"),
    ("shard", of_tar(one_member), "other values"),
    ("shard", of_tar(a_member_s_name), "other names"),
    ("shard", of_tar(a_member_s_label), "other labels"),
    *((kind, of_rows(change), "other values") for kind in ("npy", "parquet")
      for change in (one_value, rows_swapped, columns_swapped)),
    ("csv", of_text(a_cell), "other values"),
    ("csv", of_text(a_level), "other values"),
    ("csv", of_text(lines_swapped), "other values"),
    ("csv", of_text(a_level_s_name), "other names"),
    ("csv", of_text(a_column_s_name), "other names"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def few_samples_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "FINGERPRINT_SAMPLES", 8)


@pytest.fixture(params=["kept", "on disk"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "on disk":
        monkeypatch.setattr(limits, "RESIDENT_LIMIT_BYTES", 4096)
        monkeypatch.setattr(images, "CACHE_LIMIT_BYTES", 0)


def opened(kind: str, data: Path) -> Any:
    return open_source(data, condition=[LABELLED[kind]] if kind in LABELLED else [])


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: make(tmp_path_factory.mktemp(kind)) for kind, make in MAKERS.items()}


def copied(original: Path, place: Path) -> Path:
    place.mkdir(exist_ok=True)
    data = place / original.name
    if original.is_dir():
        shutil.copytree(original, data)
    else:
        shutil.copy(original, data)
    return data


_NOTED: dict[tuple[str, int], CheckpointState] = {}


def noted_of(kind: str, original: Path) -> CheckpointState:
    """What a run on the original data notes; found out once."""
    key = (kind, limits.RESIDENT_LIMIT_BYTES)
    if key not in _NOTED:
        _NOTED[key] = noted(opened(kind, original))
    return _NOTED[key]


def noted(source: Any) -> CheckpointState:
    return CheckpointState.of(TrainSettings(), source, {}, fingerprint=fingerprint(source))  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "change", "told"), CHANGES, ids=lambda each: getattr(each, "__name__", None))
def test_every_change_is_noticed_and_told(
    tmp_path: Path, originals: dict[str, Path], place: None, kind: str, change: Callable[[Path], None], told: str
) -> None:
    content = noted_of(kind, originals[kind])
    data = copied(originals[kind], tmp_path)
    change(data)
    with pytest.raises(UserError, match=f"is not the data that the run was trained on: .*{told}"):
        require_same_data(opened(kind, data), content, str(data))


@pytest.mark.parametrize("kind", MAKERS)
def test_data_that_were_copied_or_touched_are_the_same(
    tmp_path: Path, originals: dict[str, Path], place: None, kind: str
) -> None:
    content = noted_of(kind, originals[kind])
    data = copied(originals[kind], tmp_path)
    for path in (data, *data.rglob("*")):
        os.utime(path, LONG_AGO)
    require_same_data(opened(kind, data), content, str(data))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_columns_compressed_in_another_way_are_the_same_and_in_other_groups_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path, table = tmp_path / f"a{suffix}", pa.table(dict(zip("abc", rows().T, strict=True)))

    def written(compression: str | None, size: int) -> Any:
        if suffix == ".parquet":
            pyarrow.parquet.write_table(table, path, row_group_size=size, compression=compression or "none")
        else:
            pyarrow.feather.write_feather(table, path, compression=compression or "uncompressed", chunksize=size)
        return open_source(path)

    kept = noted(written(None, 30))
    require_same_data(written("lz4", 40), kept, path.name)
    monkeypatch.setattr(limits, "RESIDENT_LIMIT_BYTES", 1024)
    content = noted(written(None, 30))
    require_same_data(written("lz4", 30), content, path.name)
    with pytest.raises(UserError, match="when it started there were other row groups or batches of rows, by which"):
        require_same_data(written("lz4", 31), content, path.name)


def test_a_tar_file_that_was_packed_again_is_the_same(tmp_path: Path, originals: dict[str, Path], place: None) -> None:
    content = noted_of("shard", originals["shard"])
    write_tar(tmp_path / "a.tar", read_tar(originals["shard"]), time=1234)
    require_same_data(opened("shard", tmp_path / "a.tar"), content, "a.tar")


def test_a_file_that_could_not_be_read_may_be_removed(tmp_path: Path, originals: dict[str, Path]) -> None:
    data = copied(originals["pictures"], tmp_path)
    (data / "cats" / "000-bad.bmp").write_bytes(b"no picture")
    content = noted(open_source(data, skip_unreadable=True))
    (data / "cats" / "000-bad.bmp").unlink()
    require_same_data(open_source(data, skip_unreadable=True), content, "pictures")


@given(row=st.integers(0, 1999), column=st.integers(0, 1), bit=st.integers(0, 31))
@settings(max_examples=50, deadline=None)
def test_any_bit_of_any_row_tells(row: int, column: int, bit: int) -> None:
    array = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    before = open_source(array.copy()).checksum
    array.view(np.uint32)[row, column] ^= np.uint32(1 << bit)
    if np.isfinite(array).all():
        assert open_source(array).checksum != before


def test_of_more_than_is_compared_the_samples_and_the_sizes_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RESIDENT_LIMIT_BYTES", 4096)
    monkeypatch.setattr(limits, "COMPARED_BYTES", 1000)
    array = np.random.default_rng(0).normal(size=(5000, 3)).astype(np.float32)
    path = tmp_path / "a.npy"

    def found(array: np.ndarray) -> dict[str, Any]:
        np.save(path, array)
        source = open_source(path, scale="array")
        monkeypatch.setattr(type(source), "pieces", None)  # what would read all
        return fingerprint(source)

    first = found(array)
    sampled = int(open_source(path).split.train_rows(torch.tensor([0])))
    changed = array.copy()
    changed[sampled] += 1
    assert found(changed) != first
    assert found(array) == first
    assert found(array[:-1])["rows_checksum"] != first["rows_checksum"]


@pytest.mark.parametrize("kind", ["pictures", "shard"])
def test_of_more_pictures_than_are_compared_the_sizes_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, originals: dict[str, Path], kind: str
) -> None:
    monkeypatch.setattr(limits, "RESIDENT_LIMIT_BYTES", 4096)
    monkeypatch.setattr(images, "CACHE_LIMIT_BYTES", 0)
    for name, most in ((limits, "COMPARED_BYTES"), (images, "MANY_PICTURES")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(name, most, 50)
            if name is images:
                patch.setattr(images, "LOOKED_AT", 20)
            first, data = opened(kind, originals[kind]).checksum, copied(originals[kind], tmp_path / most)
            assert opened(kind, data).checksum == first
            if kind == "pictures":
                a_picture(data).write_bytes(a_picture(data).read_bytes() + b"more")
            else:
                write_tar(data, [(each, content + b"more" * (each == "061.bmp")) for each, content in read_tar(data)])
            assert opened(kind, data).checksum != first


def test_runs_of_before_noted_less_and_go_on(tmp_path: Path) -> None:
    data = npy(tmp_path)
    content = noted(open_source(data))
    former = {name: content.fingerprint[name] for name in ("train_count", "shape", "checksum", "train_checksum")}
    require_same_data(open_source(data), replace(content, fingerprint=former), "a.npy")


def test_a_run_is_not_resumed_with_one_pixel_changed_and_is_when_it_is_back(
    tmp_path: Path, originals: dict[str, Path]
) -> None:
    data = copied(originals["pictures"], tmp_path)
    path = a_picture(data)
    kept, run = path.read_bytes(), tmp_path / "run"
    small: dict[str, Any] = {"generator_widths": (8,), "critic_widths": (8,), "network": "mlp", "previews": False}
    train_run(TrainSettings(data=str(data), steps=2, batch_size=8, **small), run)
    one_pixel(data)
    with pytest.raises(UserError, match=r"other values\. Put the former data back, or start a new run"):
        resume_run(run, {"steps": 3})
    path.write_bytes(kept)
    assert resume_run(run, {"steps": 3})["steps"] == 3
