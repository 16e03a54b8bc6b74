import contextlib
import json
import resource
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wassergan.errors import WorkError
from wassergan.storage.run_log import RunLog, read_log


def test_ticks_come_back_oldest_first_and_torn_lines_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    log = RunLog(path)
    for step in (0, 50):
        log.append({"step": step, "sliced_w1": 0.5})
    with path.open("a") as file:
        file.write('{"step": 100, "sliced')
    assert [record["step"] for record in read_log(path)] == [0, 50]
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()[:2]] == [0, 50]


def test_cutting_drops_later_ticks_and_lines_that_are_no_ticks(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    assert log.cut_after(10) == (0, 0)
    for step in (0, 50, 100):
        log.append({"step": step})
    with log.path.open("a") as file:
        file.write('[1]\n{"no": 1}\n{"st')
    assert log.cut_after(50) == (1, 3)
    assert [record["step"] for record in read_log(log.path)] == [0, 50]
    assert not list(tmp_path.glob(".*"))


def test_the_last_tick_of_many_is_kept_whatever_follows_it(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for count in (1, 10_000, 10_001, 20_002, 40_003):
        with path.open("w") as file:
            file.writelines(f'{{"step": {step}}}\n' for step in range(count))
            file.write("[1]\n" + "x" * 70_000 + '\n{"st')
        steps = [record["step"] for record in read_log(path)]
        gaps = {after - before for before, after in zip(steps[:-1], steps[1:-1], strict=False)}
        assert steps[0] == 0 and steps[-1] == count - 1 and len(steps) <= 10_001 and len(gaps) <= 1


def test_a_refusal_of_the_file_system_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"Could not write .*log.jsonl: No such file or directory"):
        RunLog(tmp_path / "gone" / "log.jsonl").append({"step": 0})


@pytest.mark.parametrize("how", ["a short write", "a failed flush"])
def test_a_tick_that_the_disk_does_not_take_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    log.append({"step": 0})
    before = log.path.read_bytes()

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    if how == "a failed flush":
        monkeypatch.setattr("wassergan.storage.run_log.os.fsync", fails)
        with pytest.raises(WorkError, match=r"Could not write .*: Input/output error.*valid"):
            log.append({"step": 50})
    else:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limit[1]))
        try:
            with pytest.raises(WorkError, match=r"Could not write .*valid"):
                log.append({"step": 50})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert log.path.read_bytes() == before


def test_numbers_that_no_float_holds_are_no_ticks(tmp_path: Path) -> None:
    path, large = tmp_path / "log.jsonl", "1" + "0" * 310
    path.write_text(f'{{"step": 1, "seconds": 2}}\n{{"step": 2, "seconds": {large}}}\n{{"step": {large}}}\n')
    assert read_log(path) == [{"step": 1, "seconds": 2}]


@given(
    lines=st.lists(
        st.one_of(st.integers(0, 99).map(lambda n: b'{"step":%d}' % n), st.binary(max_size=40)), max_size=30
    ),
    end=st.sampled_from([b"", b"\n"]),
    block=st.integers(1, 24),
    most=st.integers(1, 8),
)
def test_lines_come_as_they_are_wherever_blocks_end(
    tmp_path: Path, lines: list[bytes], end: bytes, block: int, most: int
) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(lines) + end)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (("BLOCK_BYTES", block), ("LONGEST_LINE_BYTES", 24), ("MOST_TICKS", most)):
            patched.setattr(f"wassergan.storage.run_log.{name}", value)
        found = read_log(path)
    # By hand: lines of up to 23 bytes and their end, as the whole file holds them.
    whole = (b"\n".join(lines) + end).split(b"\n")
    whole = whole if whole[-1] else whole[:-1]
    ticks = {}
    for number, line in enumerate(whole):
        with contextlib.suppress(ValueError):
            record = json.loads(line) if len(line) < 24 else None
            if isinstance(record, dict) and type(record.get("step")) is int:
                ticks[number] = record
    every = 1
    while len(whole) - 1 >= most * every:
        every *= 2
    expected = [tick for number, tick in ticks.items() if number % every == 0]
    last = list(ticks.values())[-1:]
    assert found == (expected if expected[-1:] == last else expected + last)


# Lines that hold several values, or parts of one, so that a block has as many values as lines and yet other ones.
PIECES = (
    *(
        '{"step": 1}',
        '{"step": 2, "gap": 0.5}',
        '{"step":3},{"step":4}',
        '{"a": [{}',
        "{}]}",
        '{"step": 1, "step": 9}',
        '{"step": 9, "st\\u0065p": 1}',
        '{"step": 007}',
        '{"x}',
        '{y": 1}',
        "",
        "7",
    ),
    *('{"step": -1}', '{"step": 5, "gap": "1"}', '{"step": NaN}', '{"step": 6}\r', '{"ü": 1, "step": 7}', "{", "[{}]"),
)


@example(['{"step":3},{"step":4}', '{"x}', '{y": 1}'])
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
def test_a_block_of_lines_is_cut_as_its_lines_are_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_bytes("".join(f"{piece}\n" for piece in pieces).encode())
    alone = []
    for piece in pieces:
        single = path.with_name("single.jsonl")
        single.write_bytes(f"{piece}\n".encode())
        counts = RunLog(single).cut_after(3)
        alone.append((*counts, single.read_bytes()))
    assert RunLog(path).cut_after(3) == (sum(each[0] for each in alone), sum(each[1] for each in alone))
    assert path.read_bytes() == b"".join(each[2] for each in alone)


def is_kept(line: bytes, step: int) -> bool:
    """Whether a line is a tick up to a step, by the format of JSON alone."""
    try:
        record = json.loads(line.decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    if not isinstance(record, dict) or type(record.get("step")) is not int or len(record) > 256:
        return False
    plain = all(type(each) is float or (type(each) is int and abs(each) < 2**63) for each in record.values())
    return plain and 0 <= record["step"] <= step


NAMES = st.sampled_from(["step", "gap", "W1 / floor", "st\\u0065p", "", 'a\\"', "ü", "a\tb", "a}", "a, b: 3"])
VALUES = st.one_of(
    st.integers(-(10**19), 10**19).map(str),
    st.integers(0, 9).map(str),
    st.floats().map(lambda value: json.dumps(value)),
    st.sampled_from(["-0", "01", "1.", ".5", "+1", "1e5", "1E-7", "-1.5e+300", "1e999", "-", "NaN", "-NaN", "null"]),
    st.sampled_from(["-Infinity", '"1"', "true", "[1]", "{}", "1 ", "٣", "1" * 19, "0.1" + "2" * 60, "1e" + "1" * 9]),
)
LINES = st.builds(
    lambda pairs, comma, colon, end: "{" + comma.join(f'"{name}"{colon}{value}' for name, value in pairs) + "}" + end,
    st.one_of(
        st.lists(st.tuples(NAMES, VALUES), max_size=4),
        st.builds(lambda first, rest: [("step", first), *rest], VALUES, st.lists(st.tuples(NAMES, VALUES), max_size=4)),
    ),
    st.sampled_from([", ", ", ", ",", ",  ", ";"]),
    st.sampled_from([": ", ": ", ":", " : ", "="]),
    st.sampled_from(["", "", "", "", " ", "\r", "}", ",{}"]),
)


@example(['{"step": 1, "gap": 2, "step": 9}'])
@given(st.lists(LINES, min_size=1, max_size=5))
def test_lines_are_told_apart_as_a_reader_of_json_does(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    log = RunLog(tmp_path_factory.mktemp("log") / "log.jsonl")
    log.path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    kept = [line.encode() + b"\n" for line in lines if is_kept(line.encode(), 5)]
    later, torn = log.cut_after(5)
    assert log.path.read_bytes() == b"".join(kept) and later + torn == len(lines) - len(kept)
    assert torn == sum(not is_kept(line.encode(), 2**63) for line in lines)


def test_of_what_was_logged_nothing_is_parsed_as_it_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RunLog(tmp_path / "log.jsonl")
    numbers = [0.1 + 0.2, 1e-300, 3e22, -0.0, float("nan"), float("-inf"), 2**53, -7]
    for step in range(0, 40_000, 100):
        log.append({"step": step, "seconds": step / 7, **{f"W1 of '{k}', %": each for k, each in enumerate(numbers)}})
    lines = log.path.read_bytes().splitlines(keepends=True)

    def parsed(*ignored: object, **also: object) -> None:
        raise AssertionError("a line of ours was parsed")

    monkeypatch.setattr("wassergan.storage.run_log.json.loads", parsed)
    assert log.cut_after(30_000) == (99, 0)
    assert log.path.read_bytes() == b"".join(lines[:301])


def test_lines_that_hold_no_step_are_dropped_without_being_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, parsed, loads = RunLog(tmp_path / "log.jsonl"), list[str](), json.loads
    log.path.write_bytes(b"x\n[]\n\n" * 5000 + b'{"step": 1}\n{"step" : 2}\n{"\\u0073tep": 3}\n{"step": 1,}\n')

    def noted(text: str) -> object:
        parsed.append(text)
        return loads(text)

    monkeypatch.setattr("wassergan.storage.run_log.json.loads", noted)
    assert log.cut_after(2) == (1, 15_001)
    assert parsed == ['{"step" : 2}', '{"\\u0073tep": 3}', '{"step": 1,}']
