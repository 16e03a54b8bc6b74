"""`wassergan distance`: how far apart two data sets are."""

import json
import math
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import click

from wassergan.cli.echo import echo, say
from wassergan.cli.reading import reading_options
from wassergan.config.parsing import parse_budget
from wassergan.errors import UserError, one_line, unknown_name

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from wassergan.cli.pairs import Points
    from wassergan.distances.critic_estimator import Fit
    from wassergan.evaluation.datasets.tables import ColumnDistance

# Of a row where each number alone is sorted, of a point between which mass is moved, and of each of its numbers.
FEW_BYTES, POINT_BYTES, NUMBER_BYTES = 64, 250, 40
METHODS = ("auto", "exact", "interval", "sliced", "critic")
# Up to here column generation takes seconds; `--method exact` goes on for as long as it takes.
EXACT_PAIRS = 25_000_000

_COPIES_OF_DIRECTIONS = 3  # that are held at a time


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--method", default="auto", show_default=True, metavar="|".join(METHODS), help="How to measure.")
@click.option(
    "--tolerance", type=float, default=0.01, show_default=True, help="Relative width at which to stop (interval)."
)
@click.option(
    "--budget", default="60s", show_default=True, metavar="TIME", help="Time at which to stop (interval, critic)."
)
@click.option("--projections", type=int, default=256, show_default=True, help="Number of directions (sliced).")
@click.option(
    "--population", is_flag=True, help="Bound the distance of the distributions behind the samples (interval)."
)
@click.option(
    "--confidence", type=float, default=0.95, show_default=True, help="Confidence of each bound on the distributions."
)
@click.option(
    "--bound",
    default="finite-sample",
    show_default=True,
    metavar="finite-sample|asymptotic",
    help="How distributions are bounded from below (critic, interval --population): all of them at every size, or by "
    "Welch's t, asymptotic: only as samples grow.",
)
@click.option(
    "--families",
    metavar="NAME,...",
    help="Families of critics (critic, interval --population): atoms, learned-atoms, orthogonal; to compare, under "
    "critic only: gp, lp, sn, clip.  [critic: the first three]",
)
@click.option(
    "--diameter",
    type=float,
    help="Diameter of the set that holds both distributions, if known: bounds W1 from above too (interval "
    "--population).",
)
@click.option("--columns", metavar="NAME,...", help="Compare these columns, features or channels alone.")
@click.option(
    "--scale",
    metavar="std|iqr|range|none",
    help="Scale of each column of A by which its numbers and dates are divided.  [std of tables, none of arrays]",
)
@click.option("--category-weight", type=float, default=1.0, show_default=True, help="Distance of two levels (tables).")
@click.option(
    "--missing-weight",
    type=float,
    default=1.0,
    show_default=True,
    help="Distance of a missing number from any other (tables).",
)
@click.option("--by-column", is_flag=True, help="W1 of each column by itself, the farthest first.")
@reading_options
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of projections, subsamples and splits.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def distance(
    a: str,
    b: str,
    columns: str | None,
    scale: str | None,
    category_weight: float,
    missing_weight: float,
    by_column: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Wasserstein distance between the data sources A and B, with its guarantee.

    \b
    Examples:
      wassergan distance digits samples.npy
      wassergan distance real.npy fake.npy --method interval --tolerance 0.001 --budget 5m
      wassergan distance real.npy fake.npy --population --json
      wassergan distance real.npy fake.npy --method critic --budget 5m --confidence 0.999
      wassergan distance january.csv february.csv --by-column
      wassergan distance real.csv fake.csv --columns age,city --category-weight 2

    A and B are anything that `train` reads. Rows of arrays and pictures are compared as vectors, in Euclidean
    distance and their own units. Columns of tables are matched by name and levels by their text; the ground metric is
    Euclidean over columns: numbers and dates over their standard deviation in A, levels 0 or 1 apart, a missing value a
    level of its own.
    exact: the distance of the samples and its certificate. interval: bounds that hold, refined until they are
    close enough or the time is up. sliced: the mean over random directions, another and smaller distance.
    critic: a lower bound on the distance of the distributions, by critics whose Lipschitz constant is certified.
    """
    measure = _Measure(**{each.name: flags.pop(each.name) for each in fields(_Measure)})
    measure.check()

    from wassergan.cli.pairs import Asked, opened

    start = time.perf_counter()
    weights = (category_weight, missing_weight)
    pair = opened(a, b, Asked.of(columns, scale, *weights, flags, say))
    if by_column:
        if measure.method != "auto" or measure.population:
            raise UserError("--by-column is exact", hint="leave --method and --population out")
        _require_room(
            sum(pair.counts), FEW_BYTES + 8 * pair.dim, "name some columns with --columns, or give fewer rows"
        )
        echo(_columns_told(pair.by_column(), pair.counts, as_json=as_json))
        return
    x, y, metric = pair.points()
    facts = _measured(x, y, measure) | {"seconds": time.perf_counter() - start, "ground_metric": metric}
    echo(json.dumps(facts) if as_json else "\n".join([_told(facts), *map(one_line, pair.words(metric))]))


@dataclass(frozen=True)
class _Measure:
    """What the user says of the way to measure: flags by their names."""

    method: str
    tolerance: float
    budget: str
    projections: int
    population: bool
    confidence: float
    bound: str
    families: str | None
    diameter: float | None
    seed: int

    @property
    def seconds(self) -> float:
        """At which to stop."""
        return parse_budget(self.budget)

    @property
    def names(self) -> list[str]:
        """Of families of critics."""
        return [name.strip() for name in self.families.split(",")] if self.families else []

    def check(self) -> None:
        """Refuse what no method takes, whatever the method: a slip is not found out by the run that would need it.

        Raises:
            UserError: an unknown name, a number out of range, or flags of another method.
        """
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        _ = self.seconds
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise UserError("The tolerance must be finite and not negative", found=f"--tolerance {self.tolerance}")
        if self.projections < 1:
            raise UserError("The number of directions must be at least 1", found=f"--projections {self.projections}")
        if not -(2**63) <= self.seed < 2**63:
            raise UserError("A seed is a number of 64 bits", found=f"--seed {self.seed}")
        self._refuse_flags_of_others()

        from wassergan.distances.arguments import check_confidence, check_diameter, check_method
        from wassergan.distances.critic_families import get_families

        check_confidence(self.confidence)
        check_diameter(self.diameter, check_method(self.bound) if self.method == "critic" else "finite-sample")
        get_families(self.names)

    def _refuse_flags_of_others(self) -> None:
        if self.population and self.method not in ("auto", "interval", "critic"):
            raise UserError("--population is answered by intervals and critics alone", found=f"--method {self.method}")
        if self.method == "critic" or self.population:
            return
        hint = "add --population or --method critic"
        if self.families or self.diameter is not None:
            raise UserError("--families and --diameter serve bounds on the distributions", hint=hint)
        if self.bound != "finite-sample":
            raise UserError("--bound serves bounds on the distributions", hint=hint)


def _measured(x: "Points", y: "Points", measure: _Measure) -> dict[str, Any]:
    """What is found by the method, the chosen one where none was named."""
    import torch

    (n, m), method = (len(x), len(y)), measure.method
    if method == "auto":
        method, reason = _chosen(n, m, measure.population)
        echo(reason, err=True)
    sliced = method == "sliced"
    hint = "give fewer rows" if sliced else "choose --method sliced, which reads rows by the block, or give fewer"
    _require_room(n + m, FEW_BYTES if sliced else POINT_BYTES + NUMBER_BYTES * x.dim, hint)
    rng = torch.Generator().manual_seed(measure.seed)
    if method == "exact":
        facts = _exact(x.rows(), y.rows())
    elif method == "sliced":
        facts = _sliced(x, y, measure.projections, rng)
    else:
        facts = (_critic if method == "critic" else _interval)(x.rows(), y.rows(), rng, measure)
    return facts | {"method": method, "n": n, "m": m, "dim": x.dim}


def _require_room(rows: int, row_bytes: int, hint: str) -> None:
    """Refuse what would fill the memory before it is begun: a small file may unpack to very many rows.

    Raises:
        UserError: says how much it would take.
    """
    from wassergan.storage.memory import VARIABLE, largest_bytes

    needed = rows * row_bytes
    if needed > largest_bytes():
        raise UserError(
            f"The distance of {rows:,} rows would fill too much memory",
            found=f"about {-(-needed // 2**20):,} MiB, allowed are {largest_bytes() // 2**20:,}",
            hint=f"{hint}; or set {VARIABLE} to {-(-needed // 2**20)}",
        )


def _columns_told(found: "list[ColumnDistance]", counts: tuple[int, int], *, as_json: bool) -> str:
    """A line for each column."""
    if as_json:
        return json.dumps({"n": counts[0], "m": counts[1], "columns": [asdict(each) for each in found]})
    rows = [("column", "kind", "W1", "scaled", "missing")]
    for each in found:
        own = "-" if each.w1 is None else _in_unit(each.w1, each.unit)
        gone = "" if each.missing_a == each.missing_b == 0 else f"{each.missing_a:.3g} against {each.missing_b:.3g}"
        rows.append((each.name, each.kind, own, f"{each.scaled:.4g}", gone))
    cells = [list(map(one_line, row)) for row in rows]
    widths = [max(map(len, words)) for words in zip(*cells, strict=True)]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(
        [*lines, f"{counts[0]} against {counts[1]} samples; exact W1 of each column, share: total variation"]
    )


def _chosen(n: int, m: int, population: bool) -> tuple[str, str]:
    if population:
        return "interval", "Method: interval, since the distributions behind the samples are asked for."
    if n * m <= EXACT_PAIRS:
        return "exact", f"Method: exact, since {n} x {m} pairs are few enough."
    return "interval", f"Method: interval, since {n} x {m} pairs are too many for an exact answer in short time."


def _exact(x: "Tensor", y: "Tensor") -> dict[str, Any]:
    from wassergan.distances import exact_w1

    result = exact_w1(x, y)
    return {
        "estimate": result.value.item(),
        "lower": result.lower,
        "upper": result.upper,
        "means": "the exact W1 of the two samples, certified",
    }


def _sliced(x: "Points", y: "Points", projections: int, rng: "Generator") -> dict[str, Any]:
    from wassergan.data.readers.limits import require_room
    from wassergan.distances import sliced_w1_estimate

    require_room(_COPIES_OF_DIRECTIONS * 8 * projections * (x.dim + 1), f"{projections:,} projections")
    result = sliced_w1_estimate(x, y, projections=projections, rng=rng)
    return {
        "estimate": result.value.item(),
        # The standard error covers the directions; a guarantee would have to cover all of them.
        "lower": None,
        "upper": None,
        "standard_error": result.standard_error if projections > 1 else None,
        "projections": projections,
        "means": "the sliced W1 of the two samples, a mean over random directions; W1 itself is at least this",
    }


def _interval(x: "Tensor", y: "Tensor", rng: "Generator", measure: _Measure) -> dict[str, Any]:
    from wassergan.distances import w1_interval

    result = w1_interval(
        x,
        y,
        rng=rng,
        tolerance=measure.tolerance,
        budget_seconds=measure.seconds,
        population=measure.population,
        confidence=measure.confidence,
        diameter=measure.diameter,
        families=measure.names,
        method=measure.bound,
    )
    return asdict(result) | {"width": result.width}


def _critic(x: "Tensor", y: "Tensor", rng: "Generator", measure: _Measure) -> dict[str, Any]:
    from wassergan.distances import CERTIFIED, W1Estimator

    estimator = W1Estimator(
        families=measure.names or CERTIFIED,
        confidence=measure.confidence,
        budget_seconds=measure.seconds,
        diameter=measure.diameter,
        method=measure.bound,
    )
    result = estimator.estimate(x, y, rng=rng)
    fits = {name: _of_fit(fit) for name, fit in result.fits.items()}
    return {
        "estimate": result.best.value,
        "lower": result.lower,
        "upper": None,
        "confidence": measure.confidence,
        "bound": result.method,
        "family": result.best.family,
        "rests_on": result.rests_on,
        "means": "a lower bound on the distance of the distributions behind the samples",
        "fits": fits,
    }


def _of_fit(fit: "Fit") -> dict[str, Any]:
    names = (
        "validation",
        "gap",
        "value",
        "standard_error",
        "lower",
        "lower_asymptotic",
        "gradient_norm_max",
        "heuristic",
    )
    return {
        "constant": fit.certificate.constant,
        **{name: getattr(fit, name) for name in (*names, "steps")},
        "curve": [asdict(look) for look in fit.curve],
    }


def _told(facts: dict[str, Any]) -> str:
    size = f"{facts['n']} against {facts['m']} samples of {facts['dim']} numbers, {facts['seconds']:.1f} s"
    if facts["method"] == "sliced":
        error = facts["standard_error"]
        spread = "" if error is None else f" ± {error:.2g} (standard error of the directions)"
        return f"Sliced W1 = {facts['estimate']:.6g}{spread}\nThis is {facts['means']}.\n{size}"
    if facts["method"] == "critic":
        lines = [
            f"W1 of the distributions ≥ {facts['lower']:.6g} with confidence {facts['confidence']:g}"
            f"{', asymptotic' if facts['bound'] == 'asymptotic' else ''} (family {facts['family']}, held-out value "
            f"{facts['estimate']:.6g}).",
            f"Rests on: {facts['rests_on']}.",
        ]
        for name, fit in facts["fits"].items():
            guess = "" if fit["heuristic"] is None else f", heuristic {fit['heuristic']:.6g} (no bound)"
            lines.append(
                f"{name}: value {fit['value']:.6g} ± {fit['standard_error']:.2g}, constant {fit['constant']:.6g}, "
                f"largest gradient norm seen {fit['gradient_norm_max']:.4g}, {fit['steps']} steps{guess}"
            )
        return "\n".join([*lines, size])
    if facts["method"] == "exact":
        bounds = f"certified within [{facts['lower']:.12g}, {facts['upper']:.12g}]"
        return f"W1 = {facts['estimate']:.9g}, {bounds}\nThis is {facts['means']}.\n{size}"
    return (
        f"{facts['question']}\n"
        f"W1 in [{facts['lower']:.6g}, {facts['upper']:.6g}], width {100 * facts['width']:.2g} %, "
        f"stopped by {facts['stopped']}\n"
        f"Lower: {facts['lower_means']}.\nUpper: {facts['upper_means']}.\n"
        f"Estimate: {facts['estimate']:.6g}, {facts['estimate_means']}.\n"
        f"Rests on: {facts['rests_on']}.\n{size}"
    )


def _in_unit(value: float, unit: str) -> str:
    """A number with its unit; many seconds are minutes, hours or days.

    >>> _in_unit(35497.9, "seconds"), _in_unit(90.0, "seconds"), _in_unit(0.25, "")
    ('9.86053 hours', '90 seconds', '0.25')
    """
    if unit == "seconds":
        longer = (("days", 86400), ("hours", 3600), ("minutes", 60))
        unit, size = next(((name, size) for name, size in longer if value >= 2 * size), (unit, 1))
        value /= size
    return f"{value:.6g} {unit}".rstrip()
