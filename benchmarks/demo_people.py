"""Two invented years of customers for `make demo`: people-2024.csv and people-2025.csv, in which incomes rose."""

import argparse
import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np

JOBS = ("nurse", "teacher", "clerk", "engineer")
PAY = {"nurse": 10.45, "teacher": 10.55, "clerk": 10.25, "engineer": 10.95}  # logarithms of usual incomes
COUNT = 3000


def rows(year: int, *, rise: float, seed: int) -> list[dict[str, object]]:
    """A customer each: age, job, income by job and age, visits, and members who visit more often."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(COUNT):
        age = int(np.clip(rng.normal(44, 13), 18, 80))
        job = str(rng.choice(JOBS, p=(0.35, 0.3, 0.2, 0.15)))
        member = bool(rng.random() < (0.6 if age > 45 else 0.25))
        since = date(year, 1, 1) - timedelta(days=int(rng.exponential(900)))
        income = np.exp(PAY[job] + 0.012 * (age - 44) + 0.18 * rng.normal()) * rise
        visits = int(rng.poisson(6 if member else 2))
        found.append(
            {"age": age, "job": job, "income": round(float(income), 2), "member": "yes" if member else "no"}
            | {"visits": visits, "since": since.isoformat()}
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for year, rise in ((2024, 1.0), (2025, 1.06)):
        found = rows(year, rise=rise, seed=year)
        with (folder / f"people-{year}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(found[0]))
            writer.writeheader()
            writer.writerows(found)


if __name__ == "__main__":
    main()
