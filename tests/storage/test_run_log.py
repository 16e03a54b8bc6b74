import json
import resource
from pathlib import Path

import pytest

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
