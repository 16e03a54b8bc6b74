"""What the tests share: threads, random numbers, tiny sources, tiny runs, and a way to call the command line."""

import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import time
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import wassergan.plots
from wassergan.cli.main import main
from wassergan.constraints import Constraint, get_constraint
from wassergan.data import Source
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError, WorkError
from wassergan.evaluation.pictures.twosample import convolutional_two_sample
from wassergan.networks import Bounded, build_networks
from wassergan.objectives import get_objective
from wassergan.plots import common as plots
from wassergan.sampling.calibration import calibrate_marginals
from wassergan.training import (
    Averaging,
    DistributedContext,
    Execution,
    Optimization,
    OptimizerSettings,
    Trainer,
    open_processes,
)

gc.disable()  # until the tests are found: of what is imported hardly anything is garbage, and looking takes a fifth
torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs inherit it; tests press Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile(
    "suite",
    deadline=None,  # no test asserts a time
    derandomize=True,
    database=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]

# Flags of a run that takes a second: two small layers, few steps.
TINY = (
    *("--latent-dim", "3", "--generator-widths", "8", "--critic-widths", "8"),
    *("--batch-size", "8", "--critic-steps", "2", "--keep", "3"),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the tests to the workers so that each begins with slow ones: all would wait for a long test begun last.

    xdist cuts the list into one piece per worker (`--dist worksteal`), and steals from the end of a piece. Tests of a
    file stay together, as they share what a fixture of the file makes.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        items[:] = dealt(items, workers)


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in an order of which each worker's piece is slow tests, whole files of them, and then others."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("slow"):
            files.setdefault(item.path, []).append(item)
    quick = iter([item for item in items if not item.get_closest_marker("slow")])
    order: list[pytest.Item] = []
    for worker in range(workers):
        slow = list(itertools.chain.from_iterable(list(files.values())[worker::workers]))
        share = (len(items) - len(order)) // (workers - worker)
        order += [*slow, *itertools.islice(quick, max(0, share - len(slow)))]
    return order + list(quick)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection: each of a million objects takes longer than a tiny run."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def figures_leave_their_garbage() -> Iterator[None]:
    """Leave a figure's garbage to Python: to look for it at once takes longer than a tiny run. `flat_memory` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "gc", SimpleNamespace(collect=int))
        yield


@pytest.fixture(scope="session", autouse=True)
def margins_from_fewer_rows() -> Iterator[None]:
    """Match the margins of tables on a sixteenth of the rows: with all, each draw takes longer than a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wassergan.modality.tables.calibrate_marginals", partial(calibrate_marginals, rows=2**12))
        yield


@pytest.fixture
def flat_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the garbage of every figure, as users' runs do."""
    monkeypatch.setattr(plots, "gc", gc)


_STATES: dict[tuple[str, str], Any] = {}


@pytest.fixture(autouse=True)
def generators_start_afresh(request: pytest.FixtureRequest) -> None:
    """Generators that tests share, torch's own among them, begin every test alike: their order does not matter."""
    torch.manual_seed(0)
    for name, value in vars(request.module).items() if request.module is not None else ():
        if isinstance(value, np.random.Generator):
            state = _STATES.setdefault((request.module.__name__, name), deepcopy(value.bit_generator.state))
            value.bit_generator.state = deepcopy(state)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def numbers() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def tiny() -> tuple[str, ...]:
    return TINY


@pytest.fixture
def late_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at a clock finds an hour gone, as on a machine that does other things meanwhile."""
    looks = itertools.count(1)

    def late(clock: Callable[[], float]) -> Callable[[], float]:
        return lambda: clock() + 3600 * next(looks)

    for name in ("perf_counter", "monotonic", "time", "process_time"):
        monkeypatch.setattr(time, name, late(getattr(time, name)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder}")
    return folder


@dataclass(frozen=True)
class Said:
    """What a call of the command line gave back."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call the command line as a user would; a traceback or an escaping exception fails the test."""

    def call(*argv: object) -> Said:
        capsys.readouterr()
        code = main([str(each) for each in argv])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(code, said.out, said.err)

    return call


@pytest.fixture
def refused(cli: Callable[..., Said]) -> Callable[..., str]:
    """Call the command line with wrong input: exit code 2, one line that starts with the program's name."""

    def call(*argv: object) -> str:
        said = cli(*argv)
        assert said.code == 2, said
        assert said.out == ""
        complaints = [line for line in said.err.splitlines() if line.startswith("wassergan: ")]
        assert len(complaints) == 1 and said.err.endswith(complaints[0] + "\n"), said.err
        return complaints[0].removeprefix("wassergan: ")

    return call


SAVEFIG, CURVES_FIGURE = Figure.savefig, wassergan.plots.curves_figure


def a_pixel(self: Figure, path: Any, **options: Any) -> None:
    """In the place of `Figure.savefig`: PNG files of one pixel, with the metadata that were to be in them."""
    form = options.get("format") or (Path(path).suffix[1:] if isinstance(path, str | Path) else "png")
    if form != "png":
        return SAVEFIG(self, path, **options)
    mark = PngInfo()
    for key, text in (options.get("metadata") or {}).items():
        mark.add_text(key, text)
    return Image.new("RGB", (1, 1)).save(path, "png", pnginfo=mark)


def draw_figures(patch: pytest.MonkeyPatch, *, whole: bool) -> None:
    """Draw figures as they are, or as one pixel and curves not at all."""
    patch.setattr(Figure, "savefig", SAVEFIG if whole else a_pixel)
    patch.setattr(wassergan.plots, "curves_figure", CURVES_FIGURE if whole else lambda log: Figure())


@pytest.fixture(scope="session", autouse=True)
def figures_of_a_pixel() -> Iterator[None]:
    """Draw no figures: a tiny run takes a second, and nine tenths of it for them. Plots have their own tests."""
    with pytest.MonkeyPatch.context() as patch:
        draw_figures(patch, whole=False)
        yield


@pytest.fixture(scope="module")
def real_figures() -> Iterator[None]:
    """Draw figures as users' runs do, in all tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        draw_figures(patch, whole=True)
        yield


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw none in a test of a file that draws real ones otherwise."""
    draw_figures(monkeypatch, whole=False)


@contextmanager
def hurried_judges() -> Iterator[None]:
    """Train networks and trees that judge for a few steps: what they find is tested with them, and takes minutes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("learnt", "labels"):
            patch.setattr(f"wassergan.evaluation.pictures.{name}.STEPS", 5)
        patch.setattr("wassergan.evaluation.twosample.TREES", 5)
        patch.setattr("wassergan.evaluation.series.scores.STEPS", 3)
        patch.setitem(convolutional_two_sample.__kwdefaults__ or {}, "steps", 5)
        yield


@pytest.fixture
def quick_judges() -> Iterator[None]:
    """Judge pictures in seconds, where a test looks at no number of a network's."""
    with hurried_judges():
        yield


@pytest.fixture(scope="module")
def quick_judges_of_module() -> Iterator[None]:
    """The same for fixtures of a module."""
    with hurried_judges():
        yield


def pixels(shape: Sequence[int], *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, tuple(shape), dtype=np.uint8)


@pytest.fixture
def make_source() -> Callable[..., Source]:
    """A source of `count` random samples: (C, H, W) as 8-bit pictures, (D,) as standardised floats."""

    def make(shape: tuple[int, ...] = (1, 8, 8), *, count: int = 60, seed: int = 0, **options: Any) -> Source:
        if len(shape) == 3:
            return array_source(pixels((count, *shape), seed=seed), layout="NCHW", **options)
        values = np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
        return array_source(values, **options)

    return make


@pytest.fixture
def make_trainer(make_source: Callable[..., Source]) -> Callable[..., Trainer]:
    """A trainer on a tiny source with tiny networks; every part can be given instead."""

    def make(
        *,
        source: Source | None = None,
        network: str = "mlp",
        constraint: Constraint | str = "lp",
        objective: str = "wasserstein",
        generator_norm: str | None = None,
        critic_norm: str | None = None,
        networks: tuple[torch.nn.Module, torch.nn.Module] | None = None,
        lr: float = 1e-3,
        optimizer: str = "adam",
        equalized: bool = False,
        seed: int = 0,
        critic_condition: str = "concat",
        maps: int = 4,
        latent_dim: int = 3,
        batch_size: int = 8,
        critic_steps: int = 2,
        pack: int = 1,
        lr_factor: Callable[[int], float] = lambda step: 1.0,
        average_half_life_samples: float = 500_000,
        average_ramp: float = 0.05,
        precision: str = "float32",
        recorder: Any = None,
        log: Callable[[str], None] = lambda sentence: None,
        **options: Any,
    ) -> Trainer:
        source = source or make_source()
        if isinstance(constraint, str):
            constraint = get_constraint(constraint)
        if networks is None:
            networks = build_networks(
                network,
                source.shape,
                head=Bounded(source.codec.low, source.codec.high),  # type: ignore[attr-defined]
                latent_dim=latent_dim,
                generator_widths=(8,),
                critic_widths=(8,),
                maps=maps,
                activation="leaky_relu",
                critic_activation="leaky_relu",
                generator_norm=generator_norm or ("none" if network == "mlp" else "batch"),
                critic_norm=critic_norm or ("none" if constraint.name == "sn" else "layer"),
                seed=seed,
                context_shape=() if source.context is None else source.context.shape,
                critic_condition=critic_condition,
                pack=pack,
            )
        return Trainer(
            *networks,
            source,
            objective=get_objective(objective),
            constraint=constraint,
            latent_dim=latent_dim,
            batch_size=batch_size,
            critic_steps=critic_steps,
            pack=pack,
            optimization=Optimization(
                OptimizerSettings(optimizer, lr=lr, equalized=equalized),
                OptimizerSettings(optimizer, lr=lr, equalized=equalized),
                lr_factor=lr_factor,
            ),
            averaging=Averaging(average_half_life_samples, average_ramp),
            execution=Execution(precision, recorder, log),
            seed=seed,
            **options,
        )

    return make


def child(rank: int, count: int, folder: Path, work: Callable[[DistributedContext], Any]) -> None:
    """Join the others as a child of torchrun does, and leave behind what `work` gives, or the error's name and text."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank)}
    result: Any
    try:
        with open_processes(init_method=f"file://{folder / 'meeting'}") as processes:
            result = work(processes)
    except (WorkError, UserError) as error:
        result = (type(error).__name__, str(error))
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(result))


@pytest.fixture
def spawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Any]]:
    """Call a function in several processes that are joined by Gloo; what each gives, None from those that died."""

    def call(work: Callable[[DistributedContext], Any], *, count: int = 2) -> list[Any]:
        folder = tmp_path_factory.mktemp("processes")
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=child, args=(rank, count, folder, work)) for rank in range(count)]
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads; those of a test run hold no lock that a child would need.
            warnings.simplefilter("ignore", DeprecationWarning)
            for each in children:
                each.start()
        for each in children:
            each.join(timeout=120)
        waiting = [each for each in children if each.exitcode is None]
        for each in waiting:
            each.kill()
        assert not waiting, "a process waits for ever"
        files = [folder / f"{rank}.pickle" for rank in range(count)]
        return [pickle.loads(file.read_bytes()) if file.exists() else None for file in files]

    return call


@pytest.fixture(scope="session")
def points_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 points in the plane, in a `.npy`."""
    path = tmp_path_factory.mktemp("data") / "points.npy"
    np.save(path, np.random.default_rng(1).normal([5, -3], [2, 0.5], (120, 2)).astype(np.float32))
    return path


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, points_file: Path) -> Path:
    """A run on points that came to its end; tests only read it."""
    folder = tmp_path_factory.mktemp("runs") / "points"
    assert main(["train", str(points_file), "--out", str(folder), "--steps", "5", *TINY]) == 0
    return folder


@pytest.fixture(scope="session")
def picture_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on 8-bit pictures with colours whose data are gone; tests only read it."""
    folder = tmp_path_factory.mktemp("runs")
    np.save(folder / "pictures.npy", pixels((40, 7, 5, 3)))
    data, run = str(folder / "pictures.npy"), str(folder / "run")
    assert main(["train", data, "--out", run, "--steps", "3", *TINY]) == 0
    (folder / "pictures.npy").unlink()
    return folder / "run"
