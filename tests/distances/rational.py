"""W1 in whole numbers: what certificates are held against, and random samples that are hard on floats.

python tests/distances/rational.py 2000        # trials; prints how many certificates were violated
"""

import math
import random
import sys
from fractions import Fraction
from itertools import permutations

import numpy as np
import numpy.typing as npt

from wassergan.distances import exact_w1, max_sliced_w1, w1_interval, wasserstein_line

_DIGITS = 2**240


def line_truth(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], a: list[float], b: list[float]) -> Fraction:
    """∫ |F - G| of weighted points, each weight over the sum of its side."""
    steps = [(Fraction(float(p)), Fraction(w)) for p, w in zip(x, _shares(a), strict=True)]
    steps += [(Fraction(float(p)), -Fraction(w)) for p, w in zip(y, _shares(b), strict=True)]
    steps = sorted(step for step in steps if step[1])
    total, level = Fraction(0), Fraction(0)
    for (here, mass), (there, _) in zip(steps, steps[1:], strict=False):
        level += mass
        total += abs(level) * (there - here)
    return total


def plane_truth(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[Fraction, Fraction]:
    """Bounds, 200 bits apart, of the cheapest assignment of n points to n points, by trying every one."""
    costs = [
        [_length([Fraction(float(p)) - Fraction(float(q)) for p, q in zip(s, t, strict=True)]) for t in y] for s in x
    ]
    best = min(sum(costs[i][j] for i, j in enumerate(order)) for order in permutations(range(len(y))))
    return Fraction(best, _DIGITS * len(x)), Fraction(best + len(x), _DIGITS * len(x))


def _length(difference: list[Fraction]) -> int:
    squares = sum(each * each for each in difference)
    return math.isqrt(int(squares * _DIGITS * _DIGITS))


def _shares(weights: list[float]) -> list[Fraction]:
    total = sum(map(Fraction, weights))
    return [Fraction(weight) / total for weight in weights]


def points(chance: random.Random, count: int, dim: int) -> npt.NDArray[np.float64]:
    """Points on grids, far from 0, of mixed sizes, with repeats."""
    scale = chance.choice((1.0, 1.0, 1e-310, 1e-150, 1e150, 100.0, 2.0**53))
    offset = chance.choice((0.0, 0.0, 5e5, 5e6, 1e8, 1e15)) if scale in (1.0, 100.0) else 0.0
    kind = chance.choice(("grid", "normal", "tenths"))
    values = np.empty((count, dim))
    for place in np.ndindex(count, dim):
        value = {"grid": chance.randint(-3, 3), "normal": chance.gauss(0, 1), "tenths": chance.randint(0, 9) / 10}[kind]
        values[place] = value * scale + offset
    return values


def pair_of(chance: random.Random, n: int, m: int, dim: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    both = points(chance, n + m, dim)
    x, y = both[:n], both[n:]
    if chance.random() < 0.2:
        y = x[[chance.randrange(n) for _ in range(m)]]
    return x, y


def weights(chance: random.Random, count: int) -> list[float]:
    kind = chance.choice(("tenths", "uniform", "mixed", "equal"))
    found = [
        {
            "tenths": chance.randint(0, 3) / 10,
            "uniform": chance.random(),
            "mixed": 10.0 ** chance.uniform(-18, 0),
            "equal": 1.0,
        }[kind]
        for _ in range(count)
    ]
    if chance.random() < 0.4:
        found[chance.randrange(count)] = 0.0
    found[chance.randrange(count)] = chance.choice((1.0, 0.3))
    return found


def line_trial(seed: int) -> list[str]:
    """The claims that one random pair of weighted samples on the line breaks."""
    chance = random.Random(seed)
    n, m = chance.choice(((1, 1), (3, 5), (7, 7), (40, 13), (2100, 1900) if seed % 50 == 0 else (5, 8)))
    x, y = pair_of(chance, n, m, 1)
    a, b = (weights(chance, len(side)) for side in (x, y))
    for side, given in ((x, a), (y, b)):
        if 0.0 in given and chance.random() < 0.5:
            side[given.index(0.0)] = chance.choice((1e200, -1e300, 1e16))
    truth = line_truth(x[:, 0], y[:, 0], a, b)
    settings = {"x_weights": np.array(a), "y_weights": np.array(b), "normalize": True}
    return _broken(x, y, truth, truth, settings)


def plane_trial(seed: int) -> list[str]:
    """The claims that one random pair of up to six points each in two or three dimensions breaks."""
    chance = random.Random(seed)
    count, dim = chance.randint(1, 5), chance.randint(2, 3)
    x, y = pair_of(chance, count, count, dim)
    return _broken(x, y, *plane_truth(x, y), {})


def _broken(x, y, least: Fraction, most: Fraction, settings: dict[str, object]) -> list[str]:  # type: ignore[no-untyped-def]
    broken = []
    transport = exact_w1(x, y, **settings)  # type: ignore[arg-type]
    interval = w1_interval(x, y, rng=0, tolerance=1e-9, **settings)  # type: ignore[arg-type]
    for name, found in (("exact_w1", transport), ("w1_interval", interval)):
        if Fraction(found.lower) > most:
            broken.append(f"{name}: lower {found.lower!r} above {float(most)!r}")
        if Fraction(found.upper) < least:
            broken.append(f"{name}: upper {found.upper!r} below {float(least)!r}")
    used = [
        side[np.array(settings.get(key, np.ones(len(side)))) > 0] for side, key in ((x, "x_weights"), (y, "y_weights"))
    ]
    spread = float(np.ptp(np.concatenate(used), axis=0).max())
    if x.shape[1] == 1:
        value = float(wasserstein_line(x, y, **settings))  # type: ignore[arg-type]
        if abs(Fraction(value) - least) > Fraction(1e-14) * abs(least) + Fraction(1e-14) * Fraction(spread) + Fraction(
            1e-320
        ):
            broken.append(f"wasserstein_line: {value!r} for {float(least)!r}")
        same = float(
            wasserstein_line(
                x[::-1].copy(),
                x,
                **(
                    {}
                    if not settings
                    else {
                        "x_weights": settings["x_weights"][::-1].copy(),
                        "y_weights": settings["x_weights"],
                        "normalize": True,
                    }
                ),
            )
        )
        if same != 0:
            broken.append(f"wasserstein_line of a turned sample: {same!r}")
    if not settings and Fraction(float(max_sliced_w1(x, y, rng=0, steps=2, projections=2)[0])) > most:
        broken.append("max_sliced_w1 above the truth")
    if transport.upper - transport.lower > 1e-9 * transport.upper + 1e-12 * spread + 1e-320:
        broken.append(f"exact_w1: [{transport.lower!r}, {transport.upper!r}] is wide for a spread of {spread!r}")
    return broken


def main() -> None:
    """Trials from the command line."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for name, trial in (("line", line_trial), ("plane", plane_trial)):
        broken = {seed: found for seed in range(count) if (found := trial(seed))}
        print(f"{name}: {count} trials, {len(broken)} with a claim broken")
        for seed, found in list(broken.items())[:20]:
            print(f"  seed {seed}: {'; '.join(found)}")


if __name__ == "__main__":
    main()
