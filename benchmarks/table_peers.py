"""Rows of another generator of tables after a time, for `tables.py --beside`.

It is run by the Python of an environment that has that generator:

    ENV/bin/python benchmarks/table_peers.py argn train.csv rows.csv --seconds 180 --count 30000 --discrete sex,income

What is there, each as it comes but for what is named:

- `ctgan`: CTGAN (BUSL-1.1). What an epoch takes is what a training of four takes more than one of a single epoch, after
  a first one that only warms up; the number of epochs follows from it. It takes no rows with a missing number: those
  are left out.
- `argn`: TabularARGN of mostlyai-engine (Apache-2.0), autoregressive over discretised columns. Rare values are not
  protected, which would cost it fidelity; it stops early when its validation loss does.
- `arf`: adversarial random forests of arfpy (MIT). It takes as long as it takes. Of missing values a category has one
  more level, and rows with a missing number are left out.

Nothing of them is part of this project. Prints what was done as JSON.
"""

import argparse
import json
import time
from importlib.metadata import version
from typing import Any

import pandas


def ctgan(table: pandas.DataFrame, discrete: list[str], options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    import torch
    from ctgan import CTGAN

    torch.manual_seed(options.seed)
    taken = []
    for tried in (1, 1, 4):
        started = time.perf_counter()
        CTGAN(epochs=tried).fit(table, discrete)
        taken.append(time.perf_counter() - started)
    epoch = (taken[2] - taken[1]) / 3
    epochs = max(1, round((options.seconds - (taken[1] - epoch)) / epoch))
    model = CTGAN(epochs=epochs)
    model.set_random_state(options.seed)
    started = time.perf_counter()
    model.fit(table, discrete)
    facts = {"system": f"CTGAN {version('ctgan')}", "rounds": epochs, "seconds": time.perf_counter() - started}
    return model.sample, facts


def argn(table: pandas.DataFrame, discrete: list[str], options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    from mostlyai.engine import TabularARGN

    started = time.perf_counter()
    model = TabularARGN(
        max_training_time=options.seconds / 60, value_protection=False, random_state=options.seed, device="cpu"
    )
    model.fit(table)
    facts = {"system": f"TabularARGN {version('mostlyai-engine')}", "rounds": 0}
    facts["seconds"] = time.perf_counter() - started
    return lambda count: model.sample(n_samples=count), facts


def arf(table: pandas.DataFrame, discrete: list[str], options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    import numpy
    from arfpy.arf import arf as forests

    numpy.random.seed(options.seed)  # it draws from the global stream
    started = time.perf_counter()
    model = forests(table.astype(dict.fromkeys(discrete, "category")), verbose=False, random_state=options.seed)
    model.forde()
    facts = {"system": f"ARF (arfpy {version('arfpy')})", "rounds": 0, "seconds": time.perf_counter() - started}
    return lambda count: model.forge(n=count), facts


PEERS = {"ctgan": ctgan, "argn": argn, "arf": arf}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=list(PEERS))
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--discrete", default="", help="names of the columns that are no numbers, with commas between")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    discrete = [name for name in options.discrete.split(",") if name]
    table = pandas.read_csv(options.data, keep_default_na=False, dtype=dict.fromkeys(discrete, str))
    numbers = [name for name in table if name not in discrete]
    table[numbers] = table[numbers].apply(pandas.to_numeric, errors="coerce")
    rows = len(table)
    if options.peer != "argn":
        table = table.dropna(ignore_index=True)
    sample, facts = PEERS[options.peer](table, discrete, options)
    started = time.perf_counter()
    made = sample(options.count)
    facts["rows_per_second"] = options.count / (time.perf_counter() - started)
    made.to_csv(options.out, index=False)
    print(json.dumps({**facts, "left_out": rows - len(table)}))


if __name__ == "__main__":
    main()
