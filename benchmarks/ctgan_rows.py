"""Rows of CTGAN after a time, for `tables.py --beside ctgan`; run by the Python of an environment that has it.

    /path/of/that/python benchmarks/ctgan_rows.py train.csv rows.csv --seconds 180 --discrete sex,income --seed 0

It is used with its defaults. What an epoch takes is what a training of four takes more than one of a single epoch,
after a first one that only warms up, and from it the number of epochs follows. It takes no rows without a number:
those are left out. Prints what it did as JSON.
"""

import argparse
import json
import time
from importlib.metadata import version

import pandas
import torch
from ctgan import CTGAN


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--discrete", default="", help="names of the columns that are no numbers, with commas between")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    discrete = [name for name in options.discrete.split(",") if name]
    # An empty text is a level like any other; what is missing among numbers is not.
    table = pandas.read_csv(options.data, keep_default_na=False, dtype=dict.fromkeys(discrete, str))
    numbers = [name for name in table if name not in discrete]
    table[numbers] = table[numbers].apply(pandas.to_numeric, errors="coerce")
    rows = len(table)
    table = table.dropna()

    torch.manual_seed(options.seed)
    taken = []
    for tried in (1, 1, 4):
        started = time.perf_counter()
        CTGAN(epochs=tried).fit(table, discrete)
        taken.append(time.perf_counter() - started)
    epoch = (taken[2] - taken[1]) / 3
    prepared = taken[1] - epoch
    epochs = max(1, round((options.seconds - prepared) / epoch))

    model = CTGAN(epochs=epochs)
    model.set_random_state(options.seed)
    started = time.perf_counter()
    model.fit(table, discrete)
    seconds = time.perf_counter() - started
    model.sample(options.count).to_csv(options.out, index=False)
    facts = {"version": version("ctgan"), "epochs": epochs, "seconds": seconds, "left_out": rows - len(table)}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
