"""What happens to data that are changed after they were opened, kind by kind.

    python fuzz/changing_data.py

Each case runs in a process of its own, as a mapped file that shrinks ends it. Limits of memory are lowered, so that
all data stay on disk. A case is `ok` if the look before a step or the read raises DataChangedError; where attributes
alone change, or the file was read into memory, if the same values come back. That the run is then saved is not looked
at here, but in `changing_runs.py`; what is noticed between `train` and `resume`, in `fingerprints.py`.
"""

import gzip
import io
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

import wassergan.data
from wassergan import UserError, WorkError, open_source

ROWS = 400


def lower_limits() -> None:
    """Keep nothing in memory, in whichever module a limit lies."""
    import wassergan.data.readers.columnar
    import wassergan.data.readers.images
    import wassergan.data.readers.shards
    import wassergan.data.readers.streaming  # noqa: F401

    small = {"CACHE_LIMIT_BYTES": 0, "RESIDENT_LIMIT_BYTES": 4096, "LARGEST_SHUFFLE": 64}
    for name, module in list(sys.modules.items()):
        for limit, value in small.items() if name.startswith("wassergan") else ():
            if hasattr(module, limit):
                setattr(module, limit, value)


def picture(seed: int) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "BMP")  # all of one size in bytes
    return file.getvalue()


def numbers(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, 4)).astype(np.float32)


def folder(root: Path, shift: int = 0) -> tuple[Path, Path]:
    data = root / "pictures"
    data.mkdir()
    for row in range(60):
        (data / f"{row:03}.bmp").write_bytes(picture(row + shift))
    return data, data / "030.bmp"


def shard(root: Path, shift: int = 0, name: str = "a.tar") -> tuple[Path, Path]:
    data = root / name
    with tarfile.open(data, "w") as tar:
        for row in range(60):
            content = picture(row + shift)
            member = tarfile.TarInfo(f"{row:03}.bmp")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return data, data


def shards(root: Path, shift: int = 0) -> tuple[Path, Path]:
    data = root / "shards"
    data.mkdir()
    shard(data, shift, "a.tar")
    return data, shard(data, shift + 60, "b.tar")[1]


def frame(shift: int):
    import pyarrow

    rows = numbers(shift)
    return pyarrow.table({name: rows[:, place] for place, name in enumerate("abcd")})


def parquet(root: Path, shift: int = 0) -> tuple[Path, Path]:
    import pyarrow.parquet

    data = root / "a.parquet"
    pyarrow.parquet.write_table(frame(shift), data, row_group_size=50, compression="none", use_dictionary=False)
    return data, data


def tables(root: Path, shift: int = 0) -> tuple[Path, Path]:
    data = root / "tables"
    data.mkdir()
    parquet(data, shift)
    shutil.move(data / "a.parquet", data / "b.parquet")
    parquet(data, shift + 1)
    return data, data / "b.parquet"


def arrow(root: Path, shift: int = 0, rows: int = 50) -> tuple[Path, Path]:
    import pyarrow

    data = root / "a.arrow"
    with pyarrow.OSFile(str(data), "wb") as file, pyarrow.ipc.new_file(file, frame(shift).schema) as writer:
        writer.write_table(frame(shift), max_chunksize=rows)
    return data, data


def large_batch(root: Path, shift: int = 0) -> tuple[Path, Path]:
    return arrow(root, shift, ROWS)


def npy(root: Path, shift: int = 0) -> tuple[Path, Path]:
    np.save(root / "a.npy", numbers(shift))
    return root / "a.npy", root / "a.npy"


def fields(root: Path, shift: int = 0) -> tuple[Path, Path]:
    rng = np.random.default_rng(shift)
    np.save(root / "f.npy", np.asfortranarray(rng.normal(size=(ROWS, 2, 6, 6)).astype(np.float32)))
    return root / "f.npy", root / "f.npy"


def deep(root: Path, shift: int = 0) -> tuple[Path, Path]:
    """Pictures of 16 bits; uncompressed, so that all have one size."""
    from PIL import Image

    data = root / "deep"
    data.mkdir()
    for row in range(60):
        pixels = np.random.default_rng(row + shift).integers(0, 2**16, (16, 16), dtype=np.uint16)
        Image.fromarray(pixels).save(data / f"{row:03}.tif", compression="raw")
    return data, data / "030.tif"


def npz(root: Path, shift: int = 0) -> tuple[Path, Path]:
    np.savez(root / "a.npz", x=numbers(shift))
    return root / "a.npz", root / "a.npz"


def csv(root: Path, shift: int = 0) -> tuple[Path, Path]:
    lines = [f"{a:+.5f},{b:+.5f},{'xy'[row % 2]}" for row, (a, b, *_) in enumerate(numbers(shift).tolist())]
    (root / "a.csv").write_text("\n".join(["a,b,c", *lines, ""]))
    return root / "a.csv", root / "a.csv"


def packed_csv(root: Path, shift: int = 0) -> tuple[Path, Path]:
    found, _ = csv(root, shift)
    (root / "a.csv.gz").write_bytes(gzip.compress(found.read_bytes()))
    found.unlink()
    return root / "a.csv.gz", root / "a.csv.gz"


def idx(root: Path, shift: int = 0) -> tuple[Path, Path]:
    pixels = np.random.default_rng(shift).integers(0, 256, (ROWS, 6, 6), dtype=np.uint8)
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    (root / "a-idx3-ubyte").write_bytes(header + pixels.tobytes())
    return root / "a-idx3-ubyte", root / "a-idx3-ubyte"


def packed_idx(root: Path, shift: int = 0) -> tuple[Path, Path]:
    found, _ = idx(root, shift)
    target = root / "a-idx3-ubyte.gz"
    target.write_bytes(gzip.compress(found.read_bytes()))
    found.unlink()
    return target, target


MAKERS: dict[str, Callable[..., tuple[Path, Path]]] = {
    "npy": npy,
    "pictures": folder,
    "shard": shard,
    "folder of shards": shards,
    "parquet": parquet,
    "folder of parquet": tables,
    "arrow": arrow,
    "arrow in one batch": large_batch,
    "fields": fields,
    "16-bit pictures": deep,
    "npz": npz,
    "csv": csv,
    "csv.gz": packed_csv,
    "idx": idx,
    "idx.gz": packed_idx,
}
IN_MEMORY = ("npz", "csv", "csv.gz", "idx", "idx.gz")  # what happens to the files later does not matter


def other(kind: str) -> bytes:
    """The target's content in data of another seed; of the same size where the format allows it."""
    with tempfile.TemporaryDirectory() as root:
        return MAKERS[kind](Path(root), 1000)[1].read_bytes()


def rewrite(kind: str, data: Path, target: Path) -> None:
    target.write_bytes(other(kind))


def rename_over(kind: str, data: Path, target: Path) -> None:
    new = target.with_name("new")
    new.write_bytes(other(kind))
    new.replace(target)


def rename_over_dated(kind: str, data: Path, target: Path) -> None:
    found = target.stat()
    rename_over(kind, data, target)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def cut(kind: str, data: Path, target: Path) -> None:
    os.truncate(target, target.stat().st_size // 2)


def empty(kind: str, data: Path, target: Path) -> None:
    os.truncate(target, 0)


def vanish(kind: str, data: Path, target: Path) -> None:
    target.unlink()


def into_folder(kind: str, data: Path, target: Path) -> None:
    target.unlink()
    target.mkdir()


def into_fifo(kind: str, data: Path, target: Path) -> None:
    target.unlink()
    os.mkfifo(target)


def into_link(kind: str, data: Path, target: Path) -> None:
    """A link to other data of the same size."""
    there = target.parent.parent / "elsewhere"
    there.write_bytes(other(kind))
    target.unlink()
    target.symlink_to(there)


def into_lost_link(kind: str, data: Path, target: Path) -> None:
    target.unlink()
    target.symlink_to(target.with_name("nowhere"))


def append(kind: str, data: Path, target: Path) -> None:
    with target.open("ab") as file:
        file.write(b"more")


def folder_renamed(kind: str, data: Path, target: Path) -> None:
    target.parent.rename(target.parent.with_name("moved"))


def chmod(kind: str, data: Path, target: Path) -> None:
    target.chmod(0)


def rewrite_dated(kind: str, data: Path, target: Path) -> None:
    """In place, with the time of the change set back."""
    found = target.stat()
    rewrite(kind, data, target)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def again_dated(kind: str, data: Path, target: Path) -> None:
    """Removed and made anew, as a rule with the same inode, and dated as before."""
    found, content = target.stat(), other(kind)
    target.unlink()
    target.write_bytes(content)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def linked(kind: str, data: Path, target: Path) -> None:
    """A second name: nothing else, but the time of change of the attributes is another."""
    os.link(target, target.parent.parent / "second name")


def mode_changed(kind: str, data: Path, target: Path) -> None:
    target.chmod(0o640)
    target.chmod(0o604)


def read_dated(kind: str, data: Path, target: Path) -> None:
    """As backups do that set the time of the last access back."""
    found = target.stat()
    target.read_bytes()
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def whole_replaced(kind: str, data: Path, target: Path) -> None:
    data.rename(data.with_name("former"))
    MAKERS[kind](data.parent, 1000)


CHANGES = (
    *(rewrite, rename_over, rename_over_dated, rewrite_dated, again_dated, append, cut, empty, vanish),
    *(into_folder, into_fifo, into_link, into_lost_link, folder_renamed, whole_replaced, chmod),
    *(linked, mode_changed, read_dated),
)
KEPT_VALUES = ("linked", "mode_changed", "read_dated")  # changes of attributes alone


def read_all(source) -> torch.Tensor:
    blocks = source.blocks
    if blocks is not None and hasattr(source, "expect"):
        source.expect([(block,) for block in range(len(blocks.bounds) - 1)])
    return source.train(torch.arange(source.train_count))


def tried(step: Callable[[], object]) -> str:
    try:
        step()
        return "nothing"
    except (UserError, WorkError) as error:
        return f"{type(error).__name__}: {error}"
    except BaseException as error:  # what a user would see as a traceback
        return f"RAW {type(error).__name__}: {error}"


def isolated(case: Callable[[], str], seconds: int = 20) -> str:
    """What a case says, or the signal that ended it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        import signal

        signal.alarm(seconds)
        os.close(read)
        os.write(write, case().encode()[:3000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        said = file.read().decode()
    status = os.waitpid(child, 0)[1]
    return f"DIED of signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


@contextmanager
def as_another(needed: bool) -> Iterator[None]:
    """As a user who may not read everything: root notices no change of permissions."""
    if not needed or os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def changed_case(kind: str, change: Callable[..., None]) -> str:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        place = Path(root) / "data"
        place.mkdir()
        data, target = MAKERS[kind](place)
        source = open_source(str(data))
        in_memory = kind in IN_MEMORY
        if source.fits_in_memory and not in_memory:
            return "BAD not on disk"
        before = source.train(torch.arange(source.train_count))
        source.checksum  # noqa: B018  # a run notes it at its start
        time.sleep(0.01)  # the file system's clock goes in steps
        change(kind, data, target)
        found: list[torch.Tensor] = []
        with as_another(change is chmod):
            watch = tried(lambda: [source.require_same() for _ in range(8)])
            reading = tried(lambda: found.append(read_all(source)))
        if found:
            reading = "same values" if torch.equal(found[0], before) else "OTHER VALUES, unsaid"
        good = "DataChangedError" in watch or "DataChangedError" in reading
        if change is chmod:
            good |= "UserError" in watch + reading
        if in_memory or change.__name__ in KEPT_VALUES:
            good = (watch, reading) == ("nothing", "same values")
        return f"{'ok ' if good else 'BAD'} watch: {watch[:60]} | read: {reading.replace(root, '')[:110]}"


if __name__ == "__main__":
    print(wassergan.__file__)
    lower_limits()
    bad = 0
    for kind in MAKERS:
        for change in CHANGES:
            said = isolated(lambda kind=kind, change=change: changed_case(kind, change))
            bad += not said.startswith("ok")
            print(f"{kind:18} {change.__name__:18} {said}", flush=True)
    print(f"{bad} of {len(MAKERS) * len(CHANGES)} bad")
