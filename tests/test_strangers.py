"""What others wrote: names that steer a terminal, logs and caches with other content, numbers that cannot be."""

import ast
import json
import shutil
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from wassergan import WassersteinGAN
from wassergan.cli.echo import echo, say_warning
from wassergan.config.settings import ResolvedSettings, TrainSettings
from wassergan.data import open_source
from wassergan.errors import UserError, WorkError, printable
from wassergan.evaluation.feature_cache import FeatureCache
from wassergan.modality.recipes import resolve_for
from wassergan.modality.writing import write_samples
from wassergan.plots.common import plain_text, save_figure
from wassergan.report.page import _json, _template, write_report
from wassergan.runs.train import train_run
from wassergan.session import fingerprint as fingerprints
from wassergan.session.build import build_trainer
from wassergan.session.restore import open_sampler
from wassergan.storage.run_log import RunLog, read_log
from wassergan.training import meeting, require_same_call
from wassergan.training.distributed import DistributedContext

pytestmark = pytest.mark.usefixtures("real_figures")  # in which names of strangers stand

SOURCES = Path(__file__).parents[1] / "src" / "wassergan"
STEERING = "\x1b[2J\x07\x9b31m\r\u202e\u2066\u200f\u2028\x00\x7f\udcff"


@given(st.text())
def test_nothing_printable_steers_and_all_else_stays(text: str) -> None:
    shown = printable(text + STEERING)
    for sign in shown:
        code = ord(sign)
        assert sign in "\t\n" or (code >= 32 and not 0x7F <= code < 0xA0 and not 0xD800 <= code < 0xE000)
    assert not set(shown) & set("\u061c\u200e\u200f\u2028\u2029\u202a\u202d\u202e\u2066\u2069\ufeff")
    assert printable("Zürich 東京 🙂\tB\n") == "Zürich 東京 🙂\tB\n"


def test_errors_echoes_and_pages_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert str(UserError(f"Column a{STEERING}\nwassergan: done", found=STEERING)).isprintable()
    echo(f"name {STEERING}")
    echo(f"name {STEERING}", err=True)
    out, err = capsys.readouterr()
    assert out == err and out.rstrip("\n").isprintable() and "\\x1b[2J" in out
    found = _template().environment.from_string("<title>{{ name }}</title>").render(name=f"<b>{STEERING}")
    assert found.isprintable() and "&lt;b&gt;" in found


def test_the_command_line_prints_through_its_door_alone() -> None:
    for path in (SOURCES / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and path.name != "echo.py":
                called = ast.unparse(node.func)
                assert called not in ("print", "click.echo", "click.secho"), f"{path.name}: {called}"
                assert not called.endswith(("stderr.write", "stdout.write")), f"{path.name}: {called}"


def test_a_closed_standard_error_is_no_traceback() -> None:
    command = f"exec {sys.executable} -m wassergan info /nowhere 2>&- >&-"
    assert subprocess.run(command, shell=True, check=False).returncode == 2


def test_a_log_of_any_size_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("w") as file:
        for step in range(45_000):
            file.write(json.dumps({"step": step, "seconds": 0.5}) + "\n")
        file.write('{"step": 7, "a": "' + "x" * 30_000_000 + '"}\n{"step": 50000}\n')
    tracemalloc.start()
    try:
        log = read_log(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
    steps = [record["step"] for record in log]
    assert len(steps) <= 10_001 and steps[0] == 0 and steps[-1] == 50_000 and steps == sorted(set(steps))
    assert np.diff(steps[:-1]).tolist() == [8] * (len(steps) - 2)
    assert RunLog(path).cut_after(44_998) == (2, 1)
    assert path.read_bytes().count(b"\n") == 44_999


@pytest.mark.parametrize(
    "record",
    ['{"step": true}', '{"step": -1}', '{"step": 1, "gap": "a"}', '{"step": 1, "gap": [1]}', '{"step": 1e3}',
     '{"step": 99999999999999999999}', '{"step": null}', "7", "[" * 9000, '{"step": 1, "gap": null}'],
)  # fmt: skip
def test_lines_that_are_no_ticks_are_left_out(tmp_path: Path, record: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"step": 0}}\n{record}\n{{"step": 2}}\n')
    assert [each["step"] for each in read_log(path)] == [0, 2]


@pytest.mark.parametrize("content", ["[]", "3", '"a"', "[" * 100_000, "{", '{"verdict": 1}', '{"protocol": {}}'])
def test_other_content_in_a_run_s_files_is_one_sentence(tmp_path: Path, content: str) -> None:
    summary = {"run": "a", "settings": {}, "sliced_w1": 1.0, "sliced_w1_floor": 1.0}
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError):
        write_report(summary, [{"step": 0, "seconds": 0.0}], tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_large_json_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(b" " * (17 * 2**20))
    with pytest.raises(UserError, match="is no JSON that a run writes"):
        _json(path)


def test_features_are_believed_only_with_their_seal(tmp_path: Path) -> None:
    features, cache = torch.randn(9, 4), FeatureCache(tmp_path)
    path = cache.path("heldout", ["key"])
    cache.keep("heldout", ["key"], features)
    kept = cache.find("heldout", ["key"], 9)
    assert kept is not None and torch.equal(kept, features)
    assert cache.find("heldout", ["key"], 8) is None
    shutil.copy(path, cache.path("heldout", ["another"]))
    assert cache.find("heldout", ["another"], 9) is None
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        found = cache.find("heldout", ["key"], 9)  # a byte order of '=' for '<' says the same
        assert found is None or torch.equal(found, features), position
        path.write_bytes(whole[:position])
        assert cache.find("heldout", ["key"], 9) is None, position
    np.save(path, np.zeros((9, 4), np.float32))
    assert cache.find("heldout", ["key"], 9) is None


@pytest.fixture
def small(tmp_path: Path) -> tuple[ResolvedSettings, Any]:
    path = tmp_path / "a.npy"
    np.save(path, np.random.default_rng(0).normal(size=(400, 3)).astype("f4"))
    settings = TrainSettings(data=str(path), steps=9, generator_widths=(8,), critic_widths=(8,))
    source = open_source(path)
    return resolve_for(settings, source), source


@pytest.mark.parametrize(
    ("setting", "value"),
    [("threads", 100_000), ("latent_dim", 10**11), ("latent_dim", 2**62), ("batch_size", 10**12),
     ("generator_widths", (10**6, 10**7)), ("critic_widths", (2**40, 2**40))],
)  # fmt: skip
def test_sizes_that_no_machine_has_are_refused_before_anything_is_made(
    small: tuple[ResolvedSettings, Any], setting: str, value: Any
) -> None:
    with pytest.raises(UserError, match=r"Too many `threads`|do not fit in memory|cannot be built|does not hold"):
        build_trainer(replace(small[0], **{setting: value}), small[1])


class _Two(DistributedContext):
    """Process 0 of two, of which the other gives what is said here."""

    other: torch.Tensor

    def __init__(self) -> None:
        super().__init__(rank=0, count=2)

    def gather(self, values: torch.Tensor) -> list[torch.Tensor]:
        return [values, self.other]


@pytest.mark.parametrize("part", ["samples", "scaling or columns", "held-out rows", "settings", ""])
def test_processes_that_differ_do_not_train_together(
    small: tuple[ResolvedSettings, Any], tmp_path: Path, part: str
) -> None:
    settings, source = small
    rows = np.load(tmp_path / "a.npy")
    rows[source.split.train[123]] += 1 if part == "samples" else 0  # one that the fingerprint's sample passes over
    np.save(tmp_path / "b.npy", rows)
    other = open_source(tmp_path / "b.npy")
    other = replace(other, codec=source.codec)
    if part == "scaling or columns":
        other = open_source(tmp_path / "b.npy", scale="array")
    if part == "held-out rows":
        other = replace(other, split=replace(source.split, heldout=source.split.heldout.flip(0)))
    other_settings = replace(settings, data="elsewhere", **({"batch_size": 7} if part == "settings" else {}))  # type: ignore[arg-type]
    parts = fingerprints._parts(other_settings, other)
    two = _Two()
    two.other = torch.tensor([fingerprints.zlib.crc32(fingerprints._plain(each).encode()) for each in parts.values()])  # type: ignore[attr-defined]
    if not part:
        fingerprints.require_alike(settings, source, two)
        return
    with pytest.raises(UserError, match=f"Process 1 does not train on what process 0 trains on: other .*{part}"):
        fingerprints.require_alike(settings, source, two)


@pytest.mark.parametrize(
    ("verb", "flags", "alike"),
    [
        ("sample", {"count": 9, "seed": 0, "out": "b.npy", "device": "cuda:1"}, True),
        ("sample", {"count": 9, "seed": 1, "out": "a.npy", "device": "cuda:0"}, False),
        ("sample", {"count": 8, "seed": 0, "out": "a.npy", "device": "cuda:0"}, False),
        ("evaluate", {"count": 9, "seed": 0, "out": "a.npy", "device": "cuda:0"}, False),
    ],
)
def test_processes_that_were_called_otherwise_do_nothing_together(
    verb: str, flags: dict[str, Any], alike: bool
) -> None:
    said: list[torch.Tensor] = []
    two = _Two()
    two.gather = lambda values: said.append(values) or [values, values]  # type: ignore[method-assign,func-returns-value]
    require_same_call(two, verb, flags)
    two = _Two()
    (two.other,) = said
    own = {"count": 9, "seed": 0, "out": "a.npy", "device": "cuda:0"}
    if alike:
        require_same_call(two, "sample", own)
        return
    with pytest.raises(UserError, match="Process 1 was called with another verb or other flags than process 0"):
        require_same_call(two, "sample", own)


def test_a_refused_thread_is_waited_for_and_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    start = threading.Thread.start

    def refusing(thread: threading.Thread) -> None:
        tries.append(thread)
        if len(tries) < 9:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refusing)
    monkeypatch.setattr(meeting.time, "sleep", lambda seconds: None)  # type: ignore[attr-defined]
    meeting.wait_for_threads()
    assert len(tries) == 8 + meeting.THREADS_OF_A_GROUP
    monkeypatch.setattr(meeting, "LONGEST_WAIT_FOR_THREADS_SECONDS", -1.0)
    tries.clear()
    with pytest.raises(WorkError, match="starts no more threads"):
        meeting.wait_for_threads()
    with pytest.raises(WorkError, match="refused this process another thread"), meeting.telling_who_is_lost():
        raise RuntimeError("Resource temporarily unavailable")


def test_more_samples_than_memory_holds_are_refused_and_come_in_parts() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 3)).astype("f4")
    gan = WassersteinGAN(steps=2, random_state=0).fit(rows)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"1,000,000,000,000 samples do not fit in memory: .*sample_chunks"):
            gan.sample(10**12, seed=1)
        parts = gan.sample_chunks(10**12, seed=1)
        first = [next(parts), next(parts)]
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()
    count = sum(map(len, first))
    np.testing.assert_array_equal(np.concatenate(first), gan.sample(count, seed=1))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.npy"])
def test_more_samples_than_the_disk_holds_are_refused(tmp_path: Path, name: str) -> None:
    if name == "a.npy":
        np.save(tmp_path / "data.npy", np.random.default_rng(0).normal(size=(200, 3)))
        data = tmp_path / "data.npy"
    else:
        data = tmp_path / "data.csv"
        data.write_text("x,y\n" + "".join(f"{n / 7},{n % 13}\n" for n in range(300)))
    train_run(TrainSettings(data=str(data), steps=2, previews=False, batch_size=16), tmp_path / "run")
    with pytest.raises(WorkError, match="No room for the samples"):
        write_samples(open_sampler(tmp_path / "run"), tmp_path / name, count=10**13, seed=0)
    assert not list(tmp_path.glob("*a.*tmp*")) and not (tmp_path / name).exists()


def test_a_name_takes_one_line_and_none_of_another(cli: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"{n % 7},{n % 5},{'xy'[n % 2]}\n" for n in range(60))
    path.write_text(f'"a\nwassergan: all is well","\x1b[2J","c\n\nDone: 1"\n{rows}')
    for said in (cli("info", path), cli("distance", path, path, "--by-column")):
        lines = [*said.out.splitlines(), *said.err.splitlines()]
        assert said.code == 0 and not [line for line in lines if line.startswith(("wassergan: ", "Done: "))]
        assert "a\\nwassergan: all is well" in said.out and "\x1b" not in said.out


def test_what_libraries_warn_of_is_one_escaped_line(capsys: pytest.CaptureFixture[str]) -> None:
    say_warning(UserWarning("Glyph 27 (\x1b) missing\nwassergan: x"), UserWarning, "a.py", 7)
    assert capsys.readouterr() == ("", "Warning: Glyph 27 (\\x1b) missing\\nwassergan: x\n")


def test_names_in_figures_are_escaped_and_warn_of_nothing(tmp_path: Path) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set_title("\x1b[2J\r\u202e \u4e2d")
    axes.set_yticks([0.5], [plain_text("\x07 a\nb $x")])
    save_figure(figure, tmp_path / "a.png")  # a warning is an error here


def test_memory_that_is_not_there_is_told(cli: Callable[..., Any], tmp_path: Path, points_file: Path) -> None:
    said = cli("distance", points_file, points_file, "--method", "sliced", "--projections", 10**12)
    assert said.code == 2 and "1,000,000,000,000 projections would fill too much memory" in said.err
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("wassergan.utils.environment.environment", failing(error))
            said = cli("env")
        assert (said.code, said.out) == (1, "") and said.err.startswith("wassergan: There is not enough memory")


def failing(error: Exception) -> Callable[..., None]:
    def fail(*ignored: object, **also: object) -> None:
        raise error

    return fail
