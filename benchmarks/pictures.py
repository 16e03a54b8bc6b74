"""Quality of pictures after a time budget, by features of a classifier of real pictures (see picture_judge.py).

    python benchmarks/pictures.py fashion --budget 120s --seeds 0 1 2
    python benchmarks/pictures.py fashion --budget 120s --settings default mlp conv32
    python benchmarks/pictures.py cifar --budget 240s
    python benchmarks/pictures.py fashion --budget 600s --settings conditional
    python benchmarks/pictures.py fashion --budget 120s --refine 4

Trains and samples through the command line, one thread, one training at a time. As many samples as there are judging
pictures are held against them: 4000 test pictures of Fashion-MNIST, all 4000 of the CIFAR subset (of which the
classifier learns 3500 with their labels; it is a weak one, and so are its numbers), all 1797 digits, and 300 crops of
photographs (picture_sets.py). One such set of samples differs from another of the same run by up to 2.4 in FID, so
numbers are means over some sets (--draws; rows without that number have one). The row "real" holds training pictures
against them. `patches` is the patch-sliced W1 at each scale, by the longer side of its level. `accuracy`, of the
setting "conditional", is that of a classifier that learns samples with the labels that they were drawn under, on real
pictures; of the row "real", of one that learns as many real pictures. With --refine a second row holds what the same
run draws by `sample --refine`. Files are looked for in ../shared/data, or in --folder. A row that is in
docs/results/pictures.json is not measured again, unless --again is given. With --clock cpu the budget counts seconds of
the process, for machines that others use too; the share of a core that it had is in the table. With --runs the runs are
kept in a folder; with --train-only they are only trained, to be judged by a later call, so that nothing but the
trainings needs a core of its own.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from picture_judge import Judge, Verdict, accuracy_of, mean_verdict, trained_classifier
from picture_sets import DATA, JUDGED, Pictures
from results import earlier_rows, write_results
from torch import Tensor

SHARED = Path(__file__).parents[2] / "shared" / "data"
CACHE = Path(tempfile.gettempdir()) / "wassergan-picture-judge"
LEARNT = 10_000  # samples from which a classifier learns, at most
KEY = ("data", "setting", "budget", "seed")
NUMBERS = ("fid", "c2st_auc", "precision", "recall", "coverage", "sliced_w1", "patches", "accuracy")
COLUMNS = (*KEY, *NUMBERS, "steps", "clock", "share_of_a_core", "draws")
SETTINGS = {
    "default": "",
    "conditional": "",  # and the flags of the data set's labels
    "float32": "--precision float32",
    "linear": "--schedule linear --schedule-steps 2350",
    "constant": "--schedule constant",
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


def in_model_space(samples: np.ndarray[Any, Any], largest: float) -> Tensor:
    """Samples (n, H, W) or (n, H, W, C) as (n, C, H, W) in [-1, 1]."""
    pictures = torch.from_numpy(samples).float() / (largest / 2) - 1
    return pictures[:, None] if pictures.ndim == 3 else pictures.permute(0, 3, 1, 2)


def trained(
    folder: Path, pictures: Pictures, name: str, budget: str, seed: int, *, clock: str, again: bool
) -> dict[str, Any]:
    """Train a run in a folder, unless it is there; its steps, and the share of a core that it had."""
    noted = folder / "trained.json"
    if noted.exists() and not again:
        return dict(json.loads(noted.read_text()))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = ["-c", CPU_CLOCK] if clock == "cpu" else ["-m", "wassergan"]
    given = f"{SETTINGS[name]} {pictures.condition if name == 'conditional' else ''}".split()
    flags = [*given, "--seed", str(seed), "--budget", budget, "--threads", "1", "--out", str(folder / "run")]
    before, began = _cpu_seconds(), time.perf_counter()
    done = subprocess.run([sys.executable, *start, "train", pictures.data, *flags, "--json"], stdout=subprocess.PIPE)
    share = (_cpu_seconds() - before) / (time.perf_counter() - began)
    if done.returncode:
        raise SystemExit(f"{name}, seed {seed}: the training ended with exit code {done.returncode}")
    known = {"steps": json.loads(done.stdout)["steps"], "clock": clock, "share_of_a_core": share}
    noted.write_text(json.dumps(known))
    return known


def judged_rows(
    run: str, pictures: Pictures, judge: Judge, name: str, *, refine: int, draws: int
) -> dict[str, dict[str, Any]]:
    """Draw and judge, once more with refined draws if they are wanted; by what is added to the setting's name."""
    how: dict[str, Any] = {"conditional": name == "conditional", "draws": draws}
    drawn = {"": judged(run, pictures, judge, **how)}
    if refine:
        more = ["--refine", str(refine)]
        drawn[refined(refine)] = judged(run, pictures, judge, more=more, **how)
    return drawn


def refined(refine: int) -> str:
    """What is added to a setting's name."""
    return f", refined 1 of {refine}" if refine else ""


def judged(
    run: str, pictures: Pictures, judge: Judge, *, conditional: bool, draws: int, more: Sequence[str] = ()
) -> dict[str, Any]:
    """Draw some sets from a run, with further flags, and judge each; samples go to a folder that is removed."""
    each = len(pictures.judging)
    count = max(LEARNT if conditional else 0, draws * each)
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/samples.npy"
        draw = ["sample", run, "--count", str(count), "--out", out, *more]
        subprocess.run([sys.executable, "-m", "wassergan", *draw], check=True, stdout=subprocess.DEVNULL)
        drawn = in_model_space(np.load(out), pictures.largest)
        verdicts = [judge.verdict(drawn[start : start + each]) for start in range(0, draws * each, each)]
        found = {**told(mean_verdict(verdicts)), "accuracy": "", "draws": draws}
        if conditional:
            labels = np.loadtxt(Path(out).with_suffix(".conditions.csv"), skiprows=1, dtype=int)
            found["accuracy"] = accuracy_of(drawn[:LEARNT], torch.from_numpy(labels[:LEARNT]), *pictures.tested)
    return found


def told(verdict: Verdict) -> dict[str, Any]:
    """As entries of a row."""
    patches = ", ".join(f"{side}: {value:.4f}" for side, value in verdict.patches.items())
    return {**asdict(verdict), "patches": patches}


def real_row(pictures: Pictures, judge: Judge) -> dict[str, Any]:
    """What pictures that were trained on come to."""
    apart = [each[: min(pictures.apart, LEARNT)] for each in pictures.learnt]
    found = {**told(judge.verdict(pictures.learnt[0][:JUDGED])), "accuracy": accuracy_of(*apart, *pictures.tested)}
    return {**found, "steps": 0, "clock": "none", "share_of_a_core": 0.0, "draws": 1}


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
    parser.add_argument(
        "--refine", type=int, default=0, help="draws for each that is kept, in a second row; 0 for none"
    )
    parser.add_argument("--draws", type=int, default=4, help="sets of samples that are judged; numbers are means")
    parser.add_argument("--runs", type=Path, help="a folder that keeps the runs")
    parser.add_argument("--train-only", action="store_true", help="judge the kept runs in a later call")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    if options.train_only and options.runs is None:
        parser.error("--train-only needs --runs")
    torch.set_num_threads(1)
    pictures = DATA[options.data](options.folder, CACHE)
    judge = None
    if not options.train_only:
        judge = Judge(trained_classifier(*pictures.learnt, CACHE / f"{options.data}.pt"), pictures.judging)
    # Rows of before there was an accuracy are renewed.
    before = earlier_rows("pictures", [], told_by=KEY)
    known = {tuple(row[name] for name in KEY) for row in before if row.get("patches")}
    if judge is not None and (real := (options.data, "real", "none", 0)) not in known:
        keep([dict(zip(KEY, real, strict=True)) | real_row(pictures, judge)])
    for seed in options.seeds:
        for name in options.settings:
            key = (options.data, name, options.budget, seed)
            rows_wanted = {key, (options.data, name + refined(options.refine), *key[2:])}
            if rows_wanted <= known and not options.again:
                continue
            with tempfile.TemporaryDirectory() as temporary:
                folder = (options.runs or Path(temporary)) / "-".join(map(str, key))
                how = trained(folder, pictures, name, options.budget, seed, clock=options.clock, again=options.again)
                if judge is None:
                    continue
                rows = judged_rows(
                    str(folder / "run"), pictures, judge, name, refine=options.refine, draws=options.draws
                )
            for which, found in rows.items():
                row = dict(zip(KEY, key, strict=True)) | {"setting": name + which} | found | how
                print(json.dumps(row), flush=True)
                keep([row])


def _key(row: dict[str, Any]) -> list[str]:
    return [str(row[name]) for name in KEY]


def keep(rows: list[dict[str, Any]]) -> None:
    """Put rows into the table, among those of earlier calls, of which some know fewer columns."""
    every = [*earlier_rows("pictures", rows, told_by=KEY), *rows]
    write_results(
        "pictures",
        "Quality of pictures after a time budget",
        sorted(({name: row.get(name, "") for name in COLUMNS} for row in every), key=_key),
        summary={"threads": 1},
        command="python benchmarks/pictures.py DATA --settings NAME ... --seeds N ...",
    )


if __name__ == "__main__":
    main()
