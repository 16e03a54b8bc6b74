"""The command lines of the documentation are carried out, on small data of the names that the pages use."""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from functools import partial
from io import BytesIO
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from wassergan.cli.main import VERBS, cli, main
from wassergan.data.tables.schema import read_schema
from wassergan.distances import parallel_lines
from wassergan.errors import UserError
from wassergan.sampling.calibration import calibrate_marginals

sys.path.insert(0, str(Path(__file__).parent))
from pages import DOCS, ROOT, WRITTEN, Block, blocks, call_of, command_lines, every_page, words_of

RESULTS = DOCS / "results"  # in test_bench.py: hours
PAGES = [page for page in every_page() if page not in WRITTEN and page.parent != RESULTS]
CALLED = [page for page in PAGES if any(call_of(line) for line in command_lines(page))]
# Output and pictures in letters; `json` is read by the library, below; in braces are directives of the build.
LANGUAGES = {"python", "sh", "console", "json", "text"}
COMMAND = re.compile(r"^\s*(\$ |wassergan |torchrun |pip |python -m |make |docker |import |from \w+ import )", re.M)


def test_blocks_say_what_they_are() -> None:
    """What is no Python, no command, no schema and no directive is `text`, and looks like none of them."""
    for page in (page for page in every_page() if page not in WRITTEN):
        if page.parent == RESULTS and page.name != "index.md":
            continue  # written by benchmarks
        for block in blocks(page):
            where = f"{page.name}:{block.line}"
            assert block.language in LANGUAGES or re.fullmatch(r"\{\w+\}.*", block.language), where
            assert block.language != "text" or not COMMAND.search(block.text), where


def test_blocks_are_found_whatever_is_before_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\na\n```\n\nwords\n\n```sh\nwassergan env  # b\n```\n~~~text\n```\n~~~\n\n````sh\n```\n````\n"
    )
    assert blocks(page) == [
        Block("python", "a\n", 2), Block("sh", "wassergan env  # b\n", 8), Block("text", "```\n", 11),
        Block("sh", "```\n", 15),
    ]  # fmt: skip
    page.write_text("```sh\nwassergan env\n")
    with pytest.raises(ValueError, match="the block of line 2 does not end"):
        blocks(page)


@pytest.mark.parametrize("page", [page for page in PAGES if any(each.language == "json" for each in blocks(page))])
def test_schemas_of_the_pages_are_read(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            (tmp_path / "schema.json").write_text(block.text)
            read_schema(tmp_path / "schema.json")


def parsed(words: list[str]) -> None:
    """Parse a call and no more: an unknown verb, flag or value raises."""
    if words[0].startswith("-"):
        cli.make_context("wassergan", list(words), resilient_parsing=True)
        return
    command: click.Command | None = cli.get_command(click.Context(cli), words[0])
    rest = words[1:]
    while isinstance(command, click.Group) and rest:
        command, rest = command.get_command(click.Context(command), rest[0]), rest[1:]
    if command is None:
        raise click.UsageError(f"no verb {words}")
    if "--help" not in rest:
        command.make_context(words[0], list(rest))


def test_every_call_parses() -> None:
    calls = [call for page in PAGES for line in command_lines(page) if (call := call_of(line)) is not None]
    for call in calls:
        parsed(call)
    assert len(calls) > 120 and {call[0] for call in calls} >= set(VERBS) - {"report"}


@pytest.mark.parametrize("line", ["trian digits", "train digits --bugdet 3s", "demo linse", "distance a.npy"])
def test_wrong_calls_are_seen(line: str) -> None:
    with pytest.raises((click.UsageError, UserError)):
        parsed(words_of(line))


def people(count: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    head = "age,sex,job,income,weight,pweight"
    rows = [
        f"{rng.integers(18, 80)},{rng.choice(['Female', 'Male'])},{rng.choice(['nurse', 'clerk'])},"
        f"{rng.choice(['<=50K', '>50K'])},{rng.integers(1, 5)},{rng.random() + 0.5:.3f}"
        for _ in range(count)
    ]
    return "\n".join([head, *rows]) + "\n"


def pictures(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(folder / f"{number}.png")


def shards(folder: Path) -> None:
    """A hundred shards of a picture each, as {000000..000099} names them."""
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)):
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        with tarfile.open(folder / f"part-{number:06}.tar", "w") as shard:
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(buffer.getvalue())
            shard.addfile(member, BytesIO(buffer.getvalue()))


def idx(path: Path, values: np.ndarray) -> None:
    """An IDX file of bytes, compressed."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of the names that the pages use, small."""
    folder = tmp_path_factory.mktemp("desk")
    pd = pytest.importorskip("pandas")
    h5netcdf = pytest.importorskip("h5netcdf")
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    for name in ("people", "survey", "january", "february", "reference", "today", "monday", "tuesday"):
        (folder / f"{name}.csv").write_text(people(400, len(name)))
    for name in ("adult_train", "adult_test"):
        (folder / f"{name}.csv.gz").write_bytes(gzip.compress(people(400, len(name)).encode()))
    frame = pd.read_csv(folder / "people.csv")
    frame[["sex", "income"]].head(5).to_csv(folder / "wanted.csv", index=False)
    gaps = frame.astype({"age": "float"}).head(8)
    gaps.loc[2, "age"], gaps.loc[3, "job"] = None, None
    gaps.to_csv(folder / "gaps.csv", index=False)
    for name in ("reference", "today"):
        pd.read_csv(folder / f"{name}.csv").to_parquet(folder / f"{name}.parquet")
    pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc")).to_parquet(folder / "measurements.parquet")
    hours = pd.date_range("2026-01-01", periods=240, freq="h")
    load = rng.normal(50, 5, 240).round(2)
    pd.DataFrame({"hour": hours, "load": load}).to_csv(folder / "loads.csv", index=False)
    if pytest.importorskip("openpyxl"):
        frame.to_excel(folder / "people.xlsx", sheet_name="2024", index=False)
    for name, shape in {"points": (120, 3), "a": (30, 2), "b": (40, 2), "waves": (600, 24, 2)}.items():
        np.save(folder / f"{name}.npy", rng.normal(size=shape).astype("f4"))
    np.save(folder / "first.npy", np.load(folder / "waves.npy")[:3, :12])
    np.savez(folder / "fields.npz", t2m=280 + rng.normal(size=(120, 8, 8)).astype("f4"))
    for name in ("fine", "coarse", "new"):
        side = 8 if name == "fine" else 4
        np.save(folder / f"{name}.npy", rng.normal(size=(120, side, side)).astype("f4"))
    with h5netcdf.File(folder / "era5.nc", "w") as file:
        file.dimensions = {"time": 120, "lat": 8, "lon": 8}
        file.create_variable("t2m", ("time", "lat", "lon"), data=280 + rng.normal(size=(120, 8, 8)).astype("f4"))
        file.create_variable("area", ("lat", "lon"), data=np.ones((8, 8)))
    rock = [Image.fromarray(plane) for plane in rng.integers(0, 2, (20, 20, 20), dtype=np.uint8)]
    rock[0].save(folder / "rock.tif", save_all=True, append_images=rock[1:])
    np.save(folder / "blobs.npy", rng.normal(size=(20, 20, 20)).astype("f4"))
    for name, count in {"photos": 120, "real": 40, "generated": 40, "shared/photos": 40}.items():
        pictures(folder / name, count, len(name))
    shards(folder / "shards")
    idx(folder / "train-images-idx3-ubyte.gz", rng.integers(0, 256, (120, 8, 8)))
    return folder


# What a page takes for made before: the run that it speaks of, and the call that makes it.
BEFORE = {
    "runs/digits": "train digits", "runs/digits-default-1": "train digits", "runs/fashion": "train digits",
    "runs/fashion-gp": "train digits --constraint gp", "runs/digits-wgan-1": "train digits --preset wgan",
    "runs/other": "train photos", "runs/people": "train people.csv", "runs/adult": "train adult_train.csv.gz",
    "runs/people-default-1": "train people.csv", "runs/people-default-2": "train people.csv --condition sex income",
    "runs/photos": "train photos",
}  # fmt: skip
SMALL = ("--latent-dim", "3", "--batch-size", "8", "--critic-steps", "1", "--no-tensorboard", "--no-previews")
MOMENT = "0.2s"


def shrunk(call: list[str]) -> list[str]:
    """The same call for two steps, a moment and a handful of samples; what is absolute lies on the desk."""
    words = [word.replace("/shared/", "shared/") for word in call]
    for place, word in enumerate(words[:-1]):
        if word == "--budget" and words[0] == "train":
            words[place : place + 2] = ["--steps", "2"]
        elif word == "--budget" and words[0] == "resume":
            words[place : place + 2] = ["--steps", "4"]
        elif word == "--budget":
            words[place + 1] = MOMENT
        elif word == "--steps":
            words[place + 1] = "2" if words[0] == "train" else "4"
        elif word == "--count":
            words[place + 1] = str(min(int(words[place + 1]), 12))
        elif word in ("--crop", "--size"):
            words[place + 1] = {"--crop": "8", "--size": "16"}[word]
    if words[0] == "train":
        words += [] if "--steps" in words else ["--steps", "2"]
        words += SMALL
    if words[:2] == ["benchmark", "w1"]:
        words += ["--test-count", "1024"]
    if words[:1] == ["distance"] and "critic" in words:
        words += ["--budget", MOMENT]
    return words


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that a page took for made before, for the next page that does: the data are alike on every desk."""
    return tmp_path_factory.mktemp("shelf")


def make_before(run: str, shelf: Path) -> None:
    """The run that a page speaks of, in the folder that is worked in."""
    if not (shelf / run).exists():
        assert main([*shrunk(BEFORE[run].split()), "--out", run]) == 0
        shutil.copytree(run, shelf / run)
    else:
        shutil.copytree(shelf / run, run)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_figures", "quick_judges")
@pytest.mark.parametrize("page", CALLED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_calls_of_a_page_do_what_they_are_for(
    page: Path,
    desk: Path,
    shelf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each ends in 0; `watch` in 3 where it finds a change."""
    shutil.copytree(desk, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wassergan.modality.tables.calibrate_marginals", partial(calibrate_marginals, rows=256))
    monkeypatch.setattr(parallel_lines, "train_on_lines", partial(parallel_lines.train_on_lines, steps=2, warm_up=50))
    monkeypatch.setattr("wassergan.distances.critic_estimator.POOL", 2**12)
    for call in filter(None, map(call_of, command_lines(page))):
        for run in (word.rstrip("/") for word in call if word in BEFORE and not Path(word).exists()):
            out = call.index("--out") if "--out" in call else None
            if out is None or call[out + 1] != run:
                make_before(run, shelf)
        words = shrunk(call)
        if words[0] == "train" and "--out" in words:
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
        code = main(words)
        said = capsys.readouterr()
        assert code == 0 or (words[0] == "watch" and code == 3), f"{words}: {code}\n{said.out}\n{said.err}"
        assert "Traceback" not in said.out + said.err


def others() -> list[tuple[str, list[str]]]:
    """Command lines of other programs, each with its page."""
    lines = [(page, line) for page in PAGES for line in command_lines(page)]
    return [(page.name, words_of(line)) for page, line in lines if call_of(line) is None]


def extras_of(words: list[str]) -> set[str]:
    (what,) = [word for word in words[2:] if not word.startswith("-")]
    found = re.fullmatch(r"(?:\.|wassergan)(?:\[([\w,]+)\])?", what)
    assert found, words
    return set(found[1].split(",")) if found[1] else set()


def made_by(text: str) -> set[str]:
    return set(re.findall(r"^([\w ]+):(?!=)", text, flags=re.M))


def test_other_programs_are_called_with_what_there_is() -> None:
    """Targets of make, extras, scripts and arguments of images exist; there is no other program."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    targets = {word for each in made_by((ROOT / "Makefile").read_text(encoding="utf-8")) for word in each.split()}
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for page, words in others():
        kind = words[0]
        if kind == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, page
        elif kind == "pip":
            assert words[1] == "install" and extras_of(words) <= set(project["optional-dependencies"]), page
        elif kind == "python":
            script = words[3] if words[1:3] == ["-m", "pytest"] else words[1]
            assert (ROOT / script).is_file(), (page, words)
        elif words[:2] == ["docker", "build"]:
            given = {words[place + 1].partition("=")[0] for place, word in enumerate(words) if word == "--build-arg"}
            assert given <= set(re.findall(r"^ARG (\w+)", image, flags=re.M)), page
        elif words[:2] == ["docker", "run"]:
            parsed(words[words.index("wassergan") + 1 :])
        else:
            assert kind == "tensorboard" or "_WASSERGAN_COMPLETE=" in " ".join(words), (page, words)
    assert {words[0] for _, words in others()} >= {"make", "pip", "docker"}


def test_flags_of_torchrun_are_its_own() -> None:
    from torch.distributed.run import get_args_parser

    lines = [words_of(line) for page in PAGES for line in command_lines(page) if line.startswith("torchrun ")]
    assert len(lines) >= 5
    for words in lines:
        asked = get_args_parser().parse_args(words[1:])
        assert asked.module and asked.training_script == "wassergan"


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_page_says(shell: str) -> None:
    lines = [line for line in command_lines(DOCS / "howto" / "command-line.md") if f"{shell}_source" in line]
    assert len(lines) == 1 and f"_WASSERGAN_COMPLETE={shell}_source wassergan" in lines[0]
    call = partial(subprocess.run, [sys.executable, "-m", "wassergan"], capture_output=True, text=True, check=True)
    script = call(env={**os.environ, "_WASSERGAN_COMPLETE": f"{shell}_source"}).stdout
    assert f"_WASSERGAN_COMPLETE={shell}_complete" in script
