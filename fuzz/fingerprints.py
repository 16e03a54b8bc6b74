"""Single changes at random places between `train` and `resume`: which of them a fingerprint notices, kind by kind.

    python fuzz/fingerprints.py [--times 30] [--seed 0]

Every change must be noticed; data that were touched, copied, moved, packed again or compressed in another way must not
be refused. Data are tried as they are kept in memory, and with limits of memory lowered so that they stay on disk.
`documented` marks what `wassergan.session.fingerprint` says that it does not look at, or that counts as a change.
"""

import argparse
import gzip
import io
import os
import random
import shutil
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import torch
from PIL import Image

from wassergan import UserError, open_source
from wassergan.session.fingerprint import fingerprint

sys.path.insert(0, str(Path(__file__).parent))
from changing_data import lower_limits

ROWS, PICTURES = 300, 60
Numbers = random.Random


# --- arrays and columns of numbers: how rows are written


def rows_of(kind: str) -> np.ndarray:
    numbers = np.random.default_rng(0)
    if "idx" in kind:
        return numbers.integers(0, 256, (ROWS, 5, 5), dtype=np.uint8)
    if kind == "fields.npy":
        return numbers.normal(size=(ROWS, 2, 5, 5)).astype(np.float32)
    return numbers.normal(size=(ROWS, 4)).astype(np.float32)


def write_rows(path: Path, rows: np.ndarray, *, packed: bool = False, size: int = 50) -> None:
    if path.suffix == ".npy":
        np.save(path, np.asfortranarray(rows) if packed else rows)
    elif path.suffix == ".npz":
        (np.savez_compressed if packed else np.savez)(path, x=rows)
    elif "idx" in path.name:
        content = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in rows.shape) + rows.tobytes()
        path.write_bytes(gzip.compress(content, 1 if packed else 9) if path.suffix == ".gz" else content)
    else:
        table = pa.table({name: rows[:, place] for place, name in enumerate("abcd")})
        if path.suffix == ".parquet":
            options = {"compression": "zstd", "use_dictionary": False} if packed else {"compression": "none"}
            pyarrow.parquet.write_table(table, path, row_group_size=size, **options)
        else:
            pyarrow.feather.write_feather(table, path, compression="lz4" if packed else "uncompressed", chunksize=size)


def one_value(rows: np.ndarray, numbers: Numbers) -> np.ndarray:
    place = tuple(numbers.randrange(size) for size in rows.shape)
    rows[place] = rows[place] ^ 1 if rows.dtype == np.uint8 else np.nextafter(rows[place], np.float32(9))
    return rows


def swapped_rows(rows: np.ndarray, numbers: Numbers) -> np.ndarray:
    first, second = numbers.sample(range(len(rows)), 2)
    rows[[first, second]] = rows[[second, first]]
    return rows


def trailing_rows(rows: np.ndarray, numbers: Numbers) -> np.ndarray:
    return np.concatenate([rows, rows[: numbers.randint(1, 5)]])


def row_removed(rows: np.ndarray, numbers: Numbers) -> np.ndarray:
    return np.delete(rows, numbers.randrange(len(rows)), axis=0)


def columns_swapped(rows: np.ndarray, numbers: Numbers) -> np.ndarray:
    first, second = numbers.sample(range(rows.shape[1]), 2)
    order = list(range(rows.shape[1]))
    order[first], order[second] = second, first
    return rows[:, order]


def another_type(rows: np.ndarray, numbers: Numbers) -> np.ndarray:
    return rows.astype(np.float64)


ROW_CHANGES = (one_value, swapped_rows, trailing_rows, row_removed, columns_swapped, another_type)
ROW_KINDS = ("a.npy", "fields.npy", "a.npz", "a-idx3-ubyte", "idx3-ubyte.gz", "a.parquet", "a.arrow")


def of_rows(kind: str, change: Callable[..., np.ndarray]) -> Callable[[Path, Numbers], None]:
    def changed(data: Path, numbers: Numbers) -> None:
        write_rows(data, change(rows_of(kind), numbers))

    return changed


# --- columns of their own names and order


def reordered(data: Path, numbers: Numbers) -> None:
    rows = rows_of("a.parquet")
    names = list("abcd")
    first, second = numbers.sample(range(4), 2)
    names[first], names[second] = names[second], names[first]
    table = pa.table({name: rows[:, "abcd".index(name)] for name in names})
    (pyarrow.parquet.write_table if data.suffix == ".parquet" else pyarrow.feather.write_feather)(table, data)


def column_renamed(data: Path, numbers: Numbers) -> None:
    rows, other = rows_of("a.parquet"), numbers.randrange(4)
    table = pa.table({name + "x" * (place == other): rows[:, place] for place, name in enumerate("abcd")})
    (pyarrow.parquet.write_table if data.suffix == ".parquet" else pyarrow.feather.write_feather)(table, data)


# --- tables of text


def table_lines() -> list[list[str]]:
    rows = np.random.default_rng(0).normal(size=(ROWS, 2))
    return [["x", "y", "level", "count"]] + [
        [f"{x:.4f}", f"{y:.3f}", "abc"[row % 3], str(row % 7)] for row, (x, y) in enumerate(rows.tolist())
    ]


def write_table(path: Path, lines: list[list[str]]) -> None:
    path.write_text("".join(",".join(line) + "\n" for line in lines))


def of_table(change: Callable[[list[list[str]], Numbers], object]) -> Callable[[Path, Numbers], None]:
    def changed(data: Path, numbers: Numbers) -> None:
        lines = table_lines()
        change(lines, numbers)
        write_table(data, lines)

    return changed


def cell(lines: list[list[str]], numbers: Numbers) -> None:
    line = numbers.choice(lines[1:])
    place = numbers.choice([0, 1, 3])
    line[place] = {"0": "1"}.get(line[place], "0") if place == 3 else f"{float(line[place]) + 0.01:.{4 - place}f}"


def level(lines: list[list[str]], numbers: Numbers) -> None:
    line = numbers.choice(lines[1:])
    line[2] = numbers.choice([each for each in "abc" if each != line[2]])


def lines_swapped(lines: list[list[str]], numbers: Numbers) -> None:
    first, second = numbers.sample(range(1, len(lines)), 2)
    lines[first], lines[second] = lines[second], lines[first]


def level_renamed(lines: list[list[str]], numbers: Numbers) -> None:
    old = numbers.choice("abc")
    for line in lines[1:]:
        line[2] = line[2].replace(old, old.upper())


def levels_exchanged(lines: list[list[str]], numbers: Numbers) -> None:
    old, new = numbers.sample("abc", 2)
    for line in lines[1:]:
        line[2] = line[2].translate(str.maketrans(old + new, new + old))


def header_renamed(lines: list[list[str]], numbers: Numbers) -> None:
    lines[0][numbers.randrange(4)] += "x"


def headers_exchanged(lines: list[list[str]], numbers: Numbers) -> None:
    first, second = numbers.sample(range(4), 2)
    for line in lines:
        line[first], line[second] = line[second], line[first]


def lines_added(lines: list[list[str]], numbers: Numbers) -> None:
    lines += [list(line) for line in lines[1 : 1 + numbers.randint(1, 5)]]


TABLE_CHANGES = (cell, level, lines_swapped, level_renamed, levels_exchanged, header_renamed, headers_exchanged)


# --- pictures


def pixels(number: int, deep: bool) -> np.ndarray:
    kind = np.uint16 if deep else np.uint8
    return np.random.default_rng(number).integers(0, np.iinfo(kind).max, (6, 6), dtype=kind, endpoint=True)


def encoded(array: np.ndarray, level: int = 6) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", compress_level=level)
    return file.getvalue()


def name_of(number: int) -> str:
    return f"{'cats' if number % 3 else 'dogs'}/{number:03}.png"


Members = dict[str, bytes]


def members_of(kind: str) -> Members:
    found = {name_of(number): encoded(pixels(number, "deep" in kind)) for number in range(PICTURES)}
    if kind == "a.tar":
        found |= {f"{name[:-4]}.cls": b"%d" % (place % 4) for place, name in enumerate(list(found))}
    return dict(sorted(found.items()))


def write_members(data: Path, members: Members, time: int = 0) -> None:
    if data.suffix == ".tar":
        with tarfile.open(data, "w") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(content), time
                tar.addfile(member, io.BytesIO(content))
        return
    shutil.rmtree(data, ignore_errors=True)
    for name, content in members.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)


def one_picture(members: Members, numbers: Numbers) -> str:
    return numbers.choice([name for name in members if name.endswith(".png")])


def pixel(members: Members, numbers: Numbers) -> None:
    name = one_picture(members, numbers)
    array = np.asarray(Image.open(io.BytesIO(members[name]))).copy()
    array[numbers.randrange(6), numbers.randrange(6)] ^= 1
    members[name] = encoded(array)


def pictures_swapped(members: Members, numbers: Numbers) -> None:
    first, second = numbers.sample([name for name in members if name.endswith(".png")], 2)
    members[first], members[second] = members[second], members[first]


def picture_renamed(members: Members, numbers: Numbers) -> None:
    name = one_picture(members, numbers)
    for end in (".png", ".cls"):
        if name[:-4] + end in members:
            members[f"{name[:-4]}b{end}"] = members.pop(name[:-4] + end)


def picture_added(members: Members, numbers: Numbers) -> None:
    name = f"cats/{numbers.randrange(900)}new"
    members[f"{name}.png"] = members[one_picture(members, numbers)]
    members[f"{name}.cls"] = b"1"


def picture_removed(members: Members, numbers: Numbers) -> None:
    name = one_picture(members, numbers)
    members.pop(name)
    members.pop(f"{name[:-4]}.cls", None)


def label_changed(members: Members, numbers: Numbers) -> None:
    name = one_picture(members, numbers)
    if (own := f"{name[:-4]}.cls") in members:
        members[own] = {b"0": b"1"}.get(members[own], b"0")
    else:
        other = "dogs" if name.startswith("cats") else "cats"
        members[f"{other}/{name.partition('/')[2]}"] = members.pop(name)


PICTURE_CHANGES = (pixel, pictures_swapped, picture_renamed, picture_added, picture_removed, label_changed)
PICTURE_KINDS = ("pictures", "deep", "a.tar")


def of_members(kind: str, change: Callable[[Members, Numbers], None]) -> Callable[[Path, Numbers], None]:
    def changed(data: Path, numbers: Numbers) -> None:
        members = members_of(kind)
        change(members, numbers)
        write_members(data, dict(sorted(members.items())))

    return changed


# --- all of them, and what is the same


def make(kind: str, data: Path) -> None:
    if kind in PICTURE_KINDS:
        write_members(data, members_of(kind))
    elif kind == "a.csv":
        write_table(data, table_lines())
    else:
        write_rows(data, rows_of(kind))


def other_groups(data: Path, numbers: random.Random) -> None:
    write_rows(data, rows_of("a"), size=numbers.randint(51, 99))


def written_again(kind: str) -> Callable[[Path, random.Random], None]:
    return lambda data, numbers: write_rows(data, rows_of(kind), packed=True)


def packed_again(data: Path, numbers: random.Random) -> None:
    write_members(data, members_of("a.tar"), time=numbers.randrange(10**9))


def cases(on_disk: bool) -> list[tuple[str, str, Callable[[Path, Numbers], None], bool]]:
    """Kind, name of the change, the change, and whether it must be noticed."""
    found: list[tuple[str, str, Callable[[Path, Numbers], None], bool]] = []
    for kind in ROW_KINDS:
        possible = [each for each in ROW_CHANGES if not ("idx" in kind and each is another_type)]
        found += [(kind, each.__name__, of_rows(kind, each), True) for each in possible]
        if kind in ("a.parquet", "a.arrow"):
            found += [(kind, each.__name__, each, True) for each in (reordered, column_renamed)]
            found.append((kind, "other groups", other_groups, on_disk))
        found.append((kind, "written in another way", written_again(kind), False))
    found += [("a.csv", each.__name__, of_table(each), True) for each in (*TABLE_CHANGES, lines_added)]
    for kind in PICTURE_KINDS:
        found += [(kind, each.__name__, of_members(kind, each), True) for each in PICTURE_CHANGES]
    found.append(("a.tar", "packed again", packed_again, False))
    for kind in (*ROW_KINDS, "a.csv", *PICTURE_KINDS):
        found += [(kind, each.__name__, each, False) for each in (touched, copied, moved)]
    return found


def touched(data: Path, numbers: Numbers) -> None:
    for path in (data, *data.rglob("*")):
        os.utime(path, (numbers.randrange(10**9), numbers.randrange(10**9)))


def copied(data: Path, numbers: Numbers) -> None:
    there = data.with_name("copy" + data.name)
    (shutil.copytree if data.is_dir() else shutil.copy)(data, there)
    shutil.rmtree(data) if data.is_dir() else data.unlink()
    there.rename(data)


def moved(data: Path, numbers: Numbers) -> None:
    there = data.parent / f"elsewhere{numbers.randrange(99)}"
    there.mkdir(exist_ok=True)
    data.rename(there / data.name)
    (there / data.name).rename(data)


def of(kind: str, data: Path) -> dict:
    condition = {"a.tar": ["cls"], "pictures": ["folder"], "deep": ["folder"]}.get(kind, [])
    source = open_source(str(data), condition=condition)
    return fingerprint(source)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bad = count = 0
    for place in ("in memory", "on disk"):
        if place == "on disk":
            lower_limits()
        with tempfile.TemporaryDirectory() as root:
            for kind, name, change, to_notice in cases(place == "on disk"):
                data = Path(root) / kind
                make(kind, data)
                first, numbers = of(kind, data), Random(options.seed)
                results: Counter[str] = Counter()
                for _ in range(options.times):
                    make(kind, data)
                    change(data, numbers)
                    try:
                        results["noticed" if of(kind, data) != first else "the same"] += 1
                    except UserError as error:
                        results[f"refused: {error}"[:120]] += 1
                good = set(results) == {"noticed" if to_notice else "the same"}
                count, bad = count + 1, bad + (not good)
                print(f"{place:10} {kind:14} {name:22} {'ok ' if good else 'BAD'} {dict(results)}", flush=True)
                shutil.rmtree(data) if data.is_dir() else data.unlink()
    print(f"{bad} of {count} bad, {options.times} times each")


Random = random.Random
if __name__ == "__main__":
    main()
