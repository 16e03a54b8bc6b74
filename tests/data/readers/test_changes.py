"""Data that change after they were opened, or while they are: files of every kind that stays on disk."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wassergan.callbacks import Callback
from wassergan.config.settings import TrainSettings
from wassergan.data import Source, open_source, read_conditions
from wassergan.data import source as limits
from wassergan.data.measured import Reading, open_measured
from wassergan.data.readers import arrow_rows, columnar, columnar_tables, images, marks
from wassergan.data.readers.marks import DataChangedError, FileMark, reading_marked, unchanging
from wassergan.errors import UserError
from wassergan.runs.train import resume_run, train_run
from wassergan.session.fingerprint import fingerprint
from wassergan.storage.checkpoint import load_checkpoint
from wassergan.training import DistributedContext, Trainer
from wassergan.training.batches import BatchStream

ROWS, PICTURES = 400, 60
LONG_AGO = (1, 1)


def picture(number: int) -> bytes:
    """Pictures of one size in bytes."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "BMP")
    return file.getvalue()


def numbers(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, 4)).astype(np.float32)


def tar(path: Path, first: int) -> Path:
    with tarfile.open(path, "w") as shard:
        for number in range(PICTURES):
            content = picture(first + number)
            member = tarfile.TarInfo(f"{number:03}.bmp")
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    return path


def parquet(path: Path, seed: int) -> Path:
    table = pa.table({name: numbers(seed)[:, place] for place, name in enumerate("abcd")})
    pyarrow.parquet.write_table(table, path, row_group_size=50, compression="none", use_dictionary=False)
    return path


def arrow(path: Path, seed: int, rows: int) -> Path:
    table = pa.table({name: numbers(seed)[:, place] for place, name in enumerate("abcd")})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def npy(path: Path, seed: int) -> Path:
    np.save(path, numbers(seed))
    return path


def folder(place: Path, seed: int) -> tuple[Path, Path]:
    for number in range(PICTURES):
        (place / f"{number:03}.bmp").write_bytes(picture(seed + number))
    return place, place / "007.bmp"


def both(make: Callable[..., Path], suffix: str) -> Callable[[Path, int], tuple[Path, Path]]:
    def made(place: Path, seed: int) -> tuple[Path, Path]:
        make(place / f"a{suffix}", seed)
        return place, make(place / f"b{suffix}", seed + 100)

    return made


def alone(make: Callable[..., Path], suffix: str, *more: int) -> Callable[[Path, int], tuple[Path, Path]]:
    def made(place: Path, seed: int) -> tuple[Path, Path]:
        path = make(place / f"a{suffix}", seed, *more)
        return path, path

    return made


# Each makes data of a seed in a folder: what is opened, and a file of it that is read from. Files of other seeds have
# the same size.
KINDS = {
    "npy": alone(npy, ".npy"),
    "pictures": folder,
    "shard": alone(tar, ".tar"),
    "shards": both(tar, ".tar"),
    "parquet": alone(parquet, ".parquet"),
    "tables": both(parquet, ".parquet"),
    "arrow": alone(arrow, ".arrow", 50),
    "arrow, one batch": alone(arrow, ".feather", ROWS),
}


@pytest.fixture(autouse=True)
def nothing_is_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESIDENT_LIMIT_BYTES", 4096)
    monkeypatch.setattr(images, "CACHE_LIMIT_BYTES", 0)


def made(kind: str, place: Path, seed: int = 0) -> tuple[Path, Path]:
    """Data as they were written long ago."""
    place.mkdir()
    data, target = KINDS[kind](place, seed)
    for path in place.rglob("*"):
        os.utime(path, LONG_AGO)
    return data, target


def other(kind: str, target: Path) -> bytes:
    place = target.parent.parent / "other"
    if not place.exists():
        made(kind, place, 1000)
    return (place / target.name).read_bytes()


def wait_for_the_clock(path: Path) -> None:
    """Until the file system's clock, which goes in steps of some milliseconds, is later than a file's last change."""
    other = path.parent.parent / "clock"
    other.touch()
    while other.stat().st_ctime_ns <= path.stat().st_ctime_ns:
        other.touch()


def rewritten(kind: str, path: Path) -> None:
    path.write_bytes(other(kind, path))


def replaced_with_its_size_and_time(kind: str, path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(other(kind, path))
    os.utime(new, LONG_AGO)
    new.replace(path)


def cut_with_its_time(kind: str, path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)
    os.utime(path, LONG_AGO)


def gone(kind: str, path: Path) -> None:
    path.unlink()


def made_again_with_its_time(kind: str, path: Path) -> None:
    content = other(kind, path)
    wait_for_the_clock(path)
    path.unlink()
    path.write_bytes(content)
    os.utime(path, LONG_AGO)


def a_folder(kind: str, path: Path) -> None:
    path.unlink()
    path.mkdir()


def another_folder_in_place_of_its_own(kind: str, path: Path) -> None:
    content = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    path.parent.rename(path.parent.with_name("former"))
    path.parent.mkdir()
    for name, each in content.items():
        (path.parent / name).write_bytes(other(kind, path) if name == path.name else each)
        os.utime(path.parent / name, LONG_AGO)


CHANGES = (
    rewritten,
    replaced_with_its_size_and_time,
    cut_with_its_time,
    gone,
    a_folder,
    another_folder_in_place_of_its_own,
)


def everything(source: Source) -> torch.Tensor:
    return source.train(torch.arange(source.train_count))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_value_is_read_from_what_changed(tmp_path: Path, kind: str, change: Callable[[str, Path], None]) -> None:
    data, target = made(kind, tmp_path / "data")
    source = open_source(data)
    assert not source.fits_in_memory
    everything(source)
    change(kind, target)
    with pytest.raises(DataChangedError, match="changed while it was in use: .*resume the run, or start a new one"):
        everything(source)
    with pytest.raises(DataChangedError):
        for _ in range(-(-PICTURES // marks.LOOKED_AT)):
            source.watch.require_same()


@pytest.mark.parametrize("kind", ["pictures", "shard"])
def test_a_picture_that_changed_is_not_skipped_as_unreadable(tmp_path: Path, kind: str) -> None:
    data, target = made(kind, tmp_path / "data")
    source = open_source(data, skip_unreadable=True)
    target.write_bytes(b"no picture")
    with pytest.raises(DataChangedError, match=target.name):
        everything(source)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_measured_is_not_read_on_either(tmp_path: Path, kind: str) -> None:
    data, target = made(kind, tmp_path / "data")
    measured = open_measured(str(data), Reading())
    rewritten(kind, target)
    with pytest.raises(DataChangedError, match=target.name):
        list(measured.pieces())  # type: ignore[union-attr]


# The time of change of the content can be set back; that of the status cannot, but other things change it, too.


def rewritten_with_its_time(kind: str, path: Path) -> None:
    wait_for_the_clock(path)
    path.write_bytes(other(kind, path))
    os.utime(path, LONG_AGO)


@pytest.mark.parametrize("change", [rewritten_with_its_time, made_again_with_its_time])
@pytest.mark.parametrize("kind", KINDS)
def test_other_values_with_their_time_set_back_are_noticed(
    tmp_path: Path, kind: str, change: Callable[[str, Path], None]
) -> None:
    data, target = made(kind, tmp_path / "data")
    source = open_source(data)
    source.checksum  # noqa: B018  # as a run notes it
    source.require_same()
    change(kind, target)
    told = "other values are in it, and the time of its last change was set back|another file is in its place"
    with pytest.raises(DataChangedError, match=rf"{target.name} changed while it was in use: ({told})"):
        for _ in range(-(-PICTURES // marks.LOOKED_AT)):
            source.require_same()


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_the_status_alone_is_no_change_and_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    data, target = made(kind, tmp_path / "data")
    source = open_source(data)
    source.checksum  # noqa: B018
    looks = []
    look = Source._checksum_now
    monkeypatch.setattr(Source, "_checksum_now", lambda self: looks.append(self) or look(self))  # type: ignore[func-returns-value]
    for change in (
        lambda: target.chmod(0o600),
        lambda: os.link(target, tmp_path / "second"),
        lambda: os.utime(target, LONG_AGO),
        lambda: target.write_bytes(target.read_bytes()) and os.utime(target, LONG_AGO),  # type: ignore[func-returns-value]
    ):
        wait_for_the_clock(target)
        change()
        looks.clear()
        for _ in range(3 * PICTURES // marks.LOOKED_AT):
            source.require_same()
            everything(source)
        assert looks == [source]


def test_a_picture_of_many_is_looked_at_again_as_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "LOOKED_AT", 1)
    data, target = made("pictures", tmp_path / "data")
    source = open_source(data)
    source.checksum  # noqa: B018
    rewritten_with_its_time("pictures", target)
    source.require_same()
    everything(source)
    with pytest.raises(DataChangedError, match=r"007\.bmp changed"):
        source.require_same()


def test_of_more_than_is_compared_another_status_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMPARED_BYTES", 1000)
    data, target = made("npy", tmp_path / "data")
    source = open_source(data)
    before = source.checksum
    target.chmod(0o600)
    monkeypatch.setattr(marks.Watch, "touched", None)  # not looked for
    source.require_same()
    assert source.checksum == before


class AtStep(Callback):
    """Does something once, after a step."""

    def __init__(self, step: int, work: Callable[[], object]) -> None:
        self._step, self._work = step, work

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self._step:
            self._work()


def short(data: Path) -> TrainSettings:
    network: dict[str, Any] = {"generator_widths": (8,), "critic_widths": (8,), "network": "mlp"}
    return TrainSettings(data=str(data), steps=16, batch_size=8, critic_steps=3, previews=False, **network)


def state(run: Path) -> dict[str, Any]:
    return load_checkpoint(run / "checkpoints" / "latest.pt")["trainer"]


def assert_same(one: Any, another: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, another)
    elif isinstance(one, dict):
        assert one.keys() == another.keys()
        for name in one:
            assert_same(one[name], another[name])
    else:
        assert one == another


# A change that a read meets in the middle of a step must not cost the steps since the last checkpoint, nor may the
# step be half done in what is saved. Without the watch, so that it is a read that meets it.
@pytest.mark.parametrize(
    ("kind", "watched"),
    [
        ("npy", True),
        ("shards", True),
        ("pictures", True),
        *((kind, False) for kind in ("pictures", "shard", "parquet", "arrow, one batch")),
    ],
)
def test_a_run_ends_saved_and_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, watched: bool
) -> None:
    if not watched:
        monkeypatch.setattr(marks.Watch, "require_same", lambda self: None)
    data, target = made(kind, tmp_path / "data")
    kept = target.read_bytes()
    train_run(short(data), tmp_path / "whole")

    broken = AtStep(5, lambda: cut_with_its_time(kind, target))
    with pytest.raises(DataChangedError, match=rf"{target.name} changed while it was in use"):
        train_run(short(data), tmp_path / "run", callback=broken)
    saved = state(tmp_path / "run")["step"]
    assert 5 <= saved <= 12 and (saved == 5 or kind == "pictures" or not watched)
    with pytest.raises((UserError, DataChangedError)):
        resume_run(tmp_path / "run", {})
    target.write_bytes(kept)
    resume_run(tmp_path / "run", {})
    goal = state(tmp_path / "whole")
    again = state(tmp_path / "run")
    for name in ("generator", "critic", "average", "generator_optimizer", "critic_optimizer", "batches", "latent_rng"):
        assert_same(goal[name], again[name])
    assert again["step"] == 16


def test_what_a_reader_finds_wrong_late_costs_no_step_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = made("pictures", tmp_path / "data")
    calls = []

    def failing(self: images.ImageFolderReader, row: int) -> Any:
        calls.append(row)
        if len(calls) > 600:
            raise UserError("The picture 007.bmp cannot be read")
        return decode(self, row)

    decode = images.ImageFolderReader._decode_or_next
    monkeypatch.setattr(images.ImageFolderReader, "_decode_or_next", failing)
    with pytest.raises(UserError, match=r"The picture 007\.bmp cannot be read"):
        train_run(short(data), tmp_path / "run")
    saved = state(tmp_path / "run")
    assert saved["step"] > 3 and saved["batches"]["served"] == 24 * saved["step"]


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_stop_at_the_same_step_with_a_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spawn: Callable[..., list[Any]], make_trainer: Any, rank: int
) -> None:
    monkeypatch.setattr(marks.Watch, "require_same", lambda self: None)
    data, target = made("shards", tmp_path / "data")

    def work(processes: DistributedContext) -> tuple[int, list[int], str]:
        trainer: Trainer = make_trainer(source=open_source(data), processes=processes)
        ticks: list[int] = []

        def stepped(trainer: Trainer) -> None:
            if trainer.step == 3 and processes.rank == rank:  # one process alone finds its file changed
                source = trainer.source.reader.paths  # type: ignore[attr-defined]
                source.marks[1] = FileMark(target, (0, 0, 0, 0))

        try:
            trainer.train(
                steps=40, tick_due=lambda step: False, on_tick=lambda t: ticks.append(t.step), on_step=stepped
            )
        except Exception as error:
            return trainer.step, ticks, type(error).__name__
        return trainer.step, ticks, ""

    (first, first_ticks, first_said), (second, second_ticks, second_said) = spawn(work)
    assert first == second < 40
    assert first_ticks == second_ticks == [first]
    said = {rank: "DataChangedError", 1 - rank: "ElsewhereError"}
    assert (first_said, second_said) == (said[0], said[1])


# Files that are read into memory at the start.


def spoil_while_read(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Write to a file as it is closed by its first reader, or, if it is read once alone, before that one has ended."""
    from wassergan.data.readers import gzipped
    from wassergan.data.tables import csv_lines
    from wassergan.storage import files

    opened = files.reading

    @contextmanager
    def reading(where: Path, **options: Any) -> Iterator[BufferedReader]:
        with opened(where, **options) as file:
            yield file
            if where == path:
                os.utime(path)

    modules = (files, marks, gzipped, csv_lines, *map(_module, ("arrays", "idx", "excel", "excel_sheet")))
    for module in modules:
        monkeypatch.setattr(module, "reading", reading)


def _module(name: str) -> Any:
    from importlib import import_module

    return import_module(f"wassergan.data.readers.{name}")


def table(path: Path) -> None:
    path.write_text("a,b\n" + "".join(f"{row / 7},{row % 5}\n" for row in range(60)), encoding="utf-8")


def idx(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4, 4), dtype=np.uint8)
    path.write_bytes(b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (60, 4, 4)) + pixels.tobytes())


def text_table(path: Path) -> None:
    pyarrow.parquet.write_table(pa.table({"a": [f"w{row % 3}" for row in range(60)], "b": range(60)}), path)


def packed(path: Path) -> None:
    table(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def workbook(path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for row in [("a", "b"), *((row / 7, row % 5) for row in range(60))]:
        book.active.append(row)
    book.save(path)


WHOLE = {
    "a.csv": table,
    "a.csv.gz": packed,
    "a.npz": lambda path: np.savez(path, x=numbers(0)),
    "a-idx3-ubyte": idx,
    "a.parquet": text_table,
    "a.xlsx": workbook,
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_may_not_change_while_it_is_read_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(limits, "RESIDENT_LIMIT_BYTES", 2**20)
    path = tmp_path / name
    WHOLE[name](path)
    os.utime(path, LONG_AGO)
    open_source(path)
    spoil_while_read(monkeypatch, path)
    with pytest.raises(DataChangedError, match=r"changed while it was in use: it was written to\. Wait until nothing"):
        open_source(path)


@pytest.mark.parametrize(
    "read", [lambda path: read_conditions(path), lambda path: open_source(numbers(0), labels=path)]
)
def test_nor_may_conditions_and_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("label\n" + "".join(f"{row % 3}\n" for row in range(ROWS)), encoding="utf-8")
    os.utime(path, LONG_AGO)
    read(path)
    spoil_while_read(monkeypatch, path)
    with pytest.raises(DataChangedError, match=r"labels\.csv changed while it was in use"):
        read(path)


def test_pictures_in_memory_may_not_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CACHE_LIMIT_BYTES", 2**30)
    data, target = made("pictures", tmp_path / "data")
    look = images.read_header  # type: ignore[attr-defined]

    def then_rewrite(found: Any) -> Any:
        header = look(found)
        if found.path == target:
            rewritten("pictures", target)
        return header

    monkeypatch.setattr(images, "read_header", then_rewrite)
    with pytest.raises(DataChangedError, match=r"007\.bmp changed"):
        open_source(data)


def test_an_error_of_a_file_that_changed_is_the_change_s_fault(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"some bytes")
    os.utime(path, LONG_AGO)
    with pytest.raises(DataChangedError, match="it was written to"), unchanging([path]):
        path.write_bytes(b"")
        raise UserError("a is damaged")
    os.utime(path, LONG_AGO)
    with pytest.raises(DataChangedError, match="it was written to"), reading_marked(FileMark.of(path)):
        path.write_bytes(b"more")
        raise ValueError
    os.utime(path, LONG_AGO)
    with pytest.raises(DataChangedError, match="it was written to"), reading_marked(FileMark.of(path)):
        path.write_bytes(b"more")
    with pytest.raises(UserError, match="b is damaged"), unchanging([path]):
        raise UserError("b is damaged")
    with pytest.raises(DataChangedError, match="No such file"), unchanging([tmp_path / "gone"]):
        pass


def test_a_write_that_is_hidden_while_files_are_read_counts_as_a_change(tmp_path: Path) -> None:
    _, target = made("npy", tmp_path / "data")
    with pytest.raises(DataChangedError, match="its status changed, which may hide other values"), unchanging([target]):
        rewritten_with_its_time("npy", target)


@pytest.mark.parametrize("kind", ["npy", "parquet", "shard", "pictures"])
def test_a_write_that_is_hidden_between_opening_and_the_checksums_is_noticed(tmp_path: Path, kind: str) -> None:
    data, target = made(kind, tmp_path / "data")
    fingerprint(open_source(str(data)))
    source = open_source(str(data))
    rewritten_with_its_time(kind, target)
    with pytest.raises(DataChangedError, match="its status changed, which may hide other values"):
        fingerprint(source)


def test_data_that_may_not_be_read_are_the_users_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]
) -> None:
    for kind in KINDS:
        data, target = made(kind, tmp_path / kind)
        monkeypatch.setattr(os, "open", refusing(target, os.open))
        done = cli("train", data, "--out", tmp_path / "run")
        assert done.code == 2 and str(target) in done.err and "Permission denied" in done.err, (kind, done)
        assert not (tmp_path / "run").exists()
        monkeypatch.undo()


def refusing(path: Path, opens: Callable[..., int]) -> Callable[..., int]:
    """As the system refuses what one has no permission for; root has it for all, so it cannot be asked."""

    def opening(name: Any, *rest: Any, **named: Any) -> int:
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return opens(name, *rest, **named)

    return opening


def test_a_file_that_may_not_be_read_did_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.touch()
    mark = FileMark.of(path)

    def refused(where: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(marks, "reading", contextmanager(refused))
    with pytest.raises(PermissionError), reading_marked(mark):
        pass


# The rest of a row group is not read, so its end is not what looks at the file again.
@pytest.mark.parametrize("kind", ["parquet", "arrow, one batch"])
def test_a_change_within_a_part_of_a_group_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    data, target = made(kind, tmp_path / "data")
    if kind == "parquet":
        table = pa.table({name: numbers(0)[:, place] for place, name in enumerate("abcd")})
        pyarrow.parquet.write_table(table, data)
        os.utime(data, LONG_AGO)
    source = open_source(data)
    fill = columnar._fill

    def then_touch(rows: Any, batch: Any) -> None:
        fill(rows, batch)
        target.touch()

    monkeypatch.setattr(columnar, "_fill", then_touch)
    assert len(source.reader.sizes) > 2  # type: ignore[attr-defined]
    with pytest.raises(DataChangedError, match="it was written to"):
        source.reader.load([0])  # type: ignore[attr-defined]


# libtiff maps the file whose descriptor it gets, and a mapped file that shrinks kills the process.
@pytest.mark.parametrize("compression", ["raw", "tiff_deflate"])
def test_decoders_get_bytes_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str) -> None:
    for number in range(4):
        Image.fromarray(np.full((9, 9), 50 * number, np.uint8)).save(
            tmp_path / f"{number}.tif", compression=compression
        )
    given: list[Any] = []
    decode = images.decode  # type: ignore[attr-defined]

    def then_look(*args: Any, **options: Any) -> Any:
        open_picture = Image.open

        def noted(file: Any, **more: Any) -> Any:
            given.append(file)
            return open_picture(file, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Image, "open", noted)
            return decode(*args, **options)

    monkeypatch.setattr(images, "decode", then_look)
    monkeypatch.setattr(images, "DECODE_THREADS", 1)
    everything(open_source(tmp_path, heldout=0.3))
    assert given
    for file in given:
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()


@pytest.mark.parametrize("kind", KINDS)
def test_once_the_data_are_back_they_are_read_again(tmp_path: Path, kind: str) -> None:
    data, target = made(kind, tmp_path / "data")
    kept = target.read_bytes()
    stream, whole = (BatchStream(open_source(data), 8, seed=0) for _ in range(2))
    target.write_bytes(other(kind, target))
    for _ in range(2):
        with pytest.raises(DataChangedError):
            stream.require(45)
    target.write_bytes(kept)
    os.utime(target, LONG_AGO)
    stream.require(5)
    for _ in range(5):
        assert torch.equal(stream.draw().samples, whole.draw().samples)


# Rows of an Arrow batch that is larger than half of the buffer.


def test_no_arrow_file_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = made("arrow, one batch", tmp_path / "data")

    def mapped(*ignored: object) -> None:
        raise AssertionError("mapped")

    monkeypatch.setattr(pa, "memory_map", mapped)
    assert (open_source(data).values(torch.arange(ROWS)).numpy() == numbers(0)).all()


def test_of_a_large_batch_no_more_is_read_than_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = made("arrow, one batch", tmp_path / "data")
    taken: list[int] = []
    take = arrow_rows.RowsOfBatch._bytes

    def counted(self: arrow_rows.RowsOfBatch, buffer: tuple[int, int], start: int, count: int) -> bytes:
        taken.append(count)
        return take(self, buffer, start, count)

    monkeypatch.setattr(arrow_rows.RowsOfBatch, "_bytes", counted)
    source = open_source(data)
    assert taken
    taken.clear()
    source.reader.load([3])  # type: ignore[attr-defined]
    rows = int(source.reader.sizes[3])  # type: ignore[attr-defined]
    assert 4 * 4 * rows <= sum(taken) <= 4 * 4 * (rows + 8)


TYPES = [pa.int8(), pa.int16(), pa.uint16(), pa.int32(), pa.int64(), pa.float16(), pa.float32(), pa.float64()]
BESIDE = [
    pa.string(),
    pa.large_string(),
    pa.bool_(),
    pa.date32(),
    pa.null(),
    pa.decimal128(9, 2),
    pa.timestamp("us"),
    pa.dictionary(pa.int8(), pa.string()),
    pa.list_(pa.int32()),
    pa.struct([("x", pa.int32())]),
    pa.string_view(),
]


@given(data=st.data(), rows=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_rows_of_a_batch_are_those_that_arrow_reads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: int
) -> None:
    kinds = data.draw(st.lists(st.sampled_from([*TYPES, *BESIDE]), min_size=1, max_size=6))
    numbered = np.random.default_rng(data.draw(st.integers(0, 9)))
    arrays = []
    for kind in kinds:
        holes = numbered.random(rows) < data.draw(st.sampled_from([0, 0.3]))
        if kind in TYPES:
            values = numbered.integers(0, 100, rows).astype(kind.to_pandas_dtype())
            arrays.append(pa.array(values, kind, mask=holes))
        else:
            arrays.append(pa.nulls(rows, kind))
    names = [f"c{place}" for place in range(len(kinds))]
    before = data.draw(st.integers(0, 9))
    table = pa.table(arrays, names)
    path = tmp_path_factory.mktemp("arrow") / "a.arrow"
    codec = data.draw(st.sampled_from([None, "lz4"]))
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer,
    ):
        writer.write_table(pa.concat_tables([table, table.slice(min(before, rows))]), max_chunksize=rows)
    wanted = data.draw(st.permutations([name for name, kind in zip(names, kinds, strict=True) if kind in TYPES]))
    start = data.draw(st.integers(0, rows - 1))
    count = data.draw(st.integers(1, rows - start))
    opened = columnar_tables.ArrowTable(path)
    with path.open("rb") as file:
        found = arrow_rows.RowsOfBatch.of(file, opened._batches[0], opened.schema, wanted) if wanted else None
        odd = any(kind.num_fields or kind == pa.string_view() for kind in kinds)
        assert (found is not None) >= (bool(wanted) and codec is None and not odd)
        if found is not None:
            expected = pa.ipc.open_file(path).get_batch(0).select(wanted).slice(start, count)
            assert found.read(start, count).equals(expected)


def test_an_arrow_batch_with_missing_values_is_refused_by_row(tmp_path: Path) -> None:
    values = pa.array(np.arange(ROWS, dtype="f8"), mask=np.arange(ROWS) == 333)
    path = tmp_path / "a.arrow"
    columns = {name: pa.array(np.random.default_rng(0).normal(size=ROWS)) for name in "bcd"}
    made = pa.table({"a": values, **columns})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, made.schema) as writer:
        writer.write_table(made)
    with pytest.raises(UserError, match="holds missing values: the first in row 333, column a"):
        everything(open_source(path))
