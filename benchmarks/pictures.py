"""Quality of pictures after a time budget, by features of a classifier of real pictures (see picture_judge.py).

    python benchmarks/pictures.py fashion --budget 120s --seeds 0 1 2
    python benchmarks/pictures.py fashion --budget 120s --settings default mlp conv32
    python benchmarks/pictures.py cifar --budget 240s

Trains and samples through the command line, one thread, one training at a time. As many samples as there are judging
pictures are held against them: 4000 test pictures of Fashion-MNIST, all 4000 of the CIFAR subset (of which the
classifier learns 3500 with their labels; it is a weak one, and so are its numbers), all 1797 digits. The row "real"
holds training pictures against them. Files are looked for in ../shared/data, or in --folder. A row that is in
docs/results/pictures.json is not measured again, unless --again is given. With --clock cpu the budget counts seconds
of the process, for machines that others use too; the share of a core that it had is in the table.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from picture_judge import Judge, trained_classifier
from results import earlier_rows, write_results
from sklearn.datasets import load_digits
from torch import Tensor

from wassergan.data.readers.idx import read_idx

SHARED = Path(__file__).parents[2] / "shared" / "data"
CACHE = Path(tempfile.gettempdir()) / "wassergan-picture-judge"
JUDGED = 4000
KEY = ("data", "setting", "budget", "seed")
SETTINGS = {
    "default": "",
    "float32": "--precision float32",
    "linear": "--schedule linear --schedule-steps 2350",
    "mlp": "--network mlp",
    "conv32": "--network conv --maps 32 --precision bf16 --critic-steps 5 --critic-lr 2e-3 --generator-lr 7e-4",
    "wgan": "--preset wgan",
    "wgan-gp": "--preset wgan-gp",
    "sn-wgan": "--preset sn-wgan",
}
CPU_CLOCK = (
    "import sys, time, types; from wassergan.training import timing; "
    "timing.time = types.SimpleNamespace(perf_counter=time.process_time); "
    "from wassergan.cli.main import main; sys.exit(main())"
)


@dataclass(frozen=True)
class Pictures:
    """A data set.

    Attributes:
        data: what `train` is given.
        learnt: pictures in [-1, 1] and labels, for the classifier.
        judging: real pictures in [-1, 1].
        largest: the value that stands for 1.
    """

    data: str
    learnt: tuple[Tensor, Tensor]
    judging: Tensor
    largest: float


def fashion(folder: Path) -> Pictures:
    """60000 of Fashion-MNIST for the classifier, 4000 of the test pictures to judge by."""
    files = {part: folder / "fashion_mnist" / f"{part}-images-idx3-ubyte.gz" for part in ("train", "t10k")}
    train, test = (torch.from_numpy(np.array(read_idx(path)))[:, None] / 127.5 - 1 for path in files.values())
    labels = torch.from_numpy(np.array(read_idx(folder / "fashion_mnist" / "train-labels-idx1-ubyte.gz"))).long()
    rows = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:JUDGED]
    return Pictures(str(files["train"]), (train, labels), test[rows], 255.0)


def cifar(folder: Path) -> Pictures:
    """4000 pictures in colours."""
    path = folder / "cifar10_first4000" / "cifar10_first4000.npz"
    with np.load(path) as file:
        pictures = torch.from_numpy(file["images"]).permute(0, 3, 1, 2) / 127.5 - 1
        labels = torch.from_numpy(file["labels"]).long()
    return Pictures(str(path), (pictures[:3500], labels[:3500]), pictures, 255.0)


def digits(folder: Path) -> Pictures:
    """The digits of scikit-learn, 8 x 8."""
    found = load_digits()
    pictures = torch.from_numpy(found.images)[:, None].float() / 8 - 1
    return Pictures("digits", (pictures, torch.from_numpy(found.target).long()), pictures, 16.0)


DATA: dict[str, Callable[[Path], Pictures]] = {"fashion": fashion, "cifar": cifar, "digits": digits}


def in_model_space(samples: np.ndarray[Any, Any], largest: float) -> Tensor:
    """Samples (n, H, W) or (n, H, W, C) as (n, C, H, W) in [-1, 1]."""
    pictures = torch.from_numpy(samples).float() / (largest / 2) - 1
    return pictures[:, None] if pictures.ndim == 3 else pictures.permute(0, 3, 1, 2)


def trained_row(pictures: Pictures, judge: Judge, name: str, budget: str, seed: int, clock: str) -> dict[str, Any]:
    """Train, sample, judge; samples go to a folder that is removed."""
    start = ["-c", CPU_CLOCK] if clock == "cpu" else ["-m", "wassergan"]
    with tempfile.TemporaryDirectory() as folder:
        run, out = f"{folder}/run", f"{folder}/samples.npy"
        flags = [*SETTINGS[name].split(), "--seed", str(seed), "--budget", budget, "--threads", "1", "--out", run]
        before, began = _cpu_seconds(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, *start, "train", pictures.data, *flags, "--json"], stdout=subprocess.PIPE
        )
        share = (_cpu_seconds() - before) / (time.perf_counter() - began)
        if done.returncode:
            raise SystemExit(f"{name}, seed {seed}: the training ended with exit code {done.returncode}")
        draw = ["sample", run, "--count", str(len(pictures.judging)), "--out", out]
        subprocess.run([sys.executable, "-m", "wassergan", *draw], check=True, stdout=subprocess.DEVNULL)
        verdict = judge.verdict(in_model_space(np.load(out), pictures.largest))
        steps = json.loads(done.stdout)["steps"]
    return {**asdict(verdict), "steps": steps, "clock": clock, "share_of_a_core": share}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=DATA)
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="each of them")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["default"])
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--folder", type=Path, default=SHARED, help="with the data sets")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pictures = DATA[options.data](options.folder)
    judge = Judge(trained_classifier(*pictures.learnt, CACHE / f"{options.data}.pt"), pictures.judging)
    real = {**asdict(judge.verdict(pictures.learnt[0][:JUDGED])), "steps": 0, "clock": "none", "share_of_a_core": 0.0}
    keep([dict(zip(KEY, (options.data, "real", "none", 0), strict=True)) | real])
    known = {tuple(row[name] for name in KEY) for row in earlier_rows("pictures", [], told_by=KEY)}
    for seed in options.seeds:
        for name in options.settings:
            key = (options.data, name, options.budget, seed)
            if key in known and not options.again:
                continue
            row = dict(zip(KEY, key, strict=True))
            row |= trained_row(pictures, judge, name, options.budget, seed, options.clock)
            print(json.dumps(row), flush=True)
            keep([row])


def keep(rows: list[dict[str, Any]]) -> None:
    """Put rows into the table, after those of earlier calls."""
    write_results(
        "pictures",
        "Quality of pictures after a time budget",
        sorted([*earlier_rows("pictures", rows, told_by=KEY), *rows], key=lambda row: [str(row[name]) for name in KEY]),
        summary={"threads": 1},
        command="python benchmarks/pictures.py DATA --settings NAME ... --seeds N ...",
    )


if __name__ == "__main__":
    main()
