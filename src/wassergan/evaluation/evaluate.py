"""Every metric of generated features against held-out ones, each with its floor."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from wassergan.distances import sliced_w1_estimate
from wassergan.distances.interval import interval_by_work
from wassergan.errors import UserError, parameter
from wassergan.evaluation.frechet import frechet_of_features
from wassergan.evaluation.kernel import kernel_distance
from wassergan.evaluation.nearest import nearest
from wassergan.evaluation.neighbours import neighbour_metrics
from wassergan.evaluation.twosample import CLASSIFIER, FOLDS, LARGEST_DIM, classifier_two_sample

LEAST = 10  # samples on each side
LARGEST = 10_000
INTERVAL_LARGEST, INTERVAL_WORK, INTERVAL_TOLERANCE = 2000, 1e11, 0.01  # of work, not of time: see `interval_by_work`
CLASSIFIER_LARGEST = 2000
PROJECTIONS = 256
JACKKNIFE = 10  # parts
NEIGHBOURS = 5

Value = tuple[float, float | None]
Log = Callable[[str], None]


def too_few(name: str, noun: str, count: int) -> UserError:
    """That fewer than ten samples of some name, `generated`, `training` or `held-out`, cannot be judged."""
    hints = {
        "generated": f"draw more with {parameter('count')}",
        "training": "train on more",
        "held-out": f"train with a larger {parameter('heldout')}, or name other data with {parameter('against')}",
    }
    return UserError(f"Judging needs {LEAST} {name} {noun}", found=f"{count}", hint=hints[name])


@dataclass(frozen=True)
class Populations:
    """Features of generated, training and held-out samples, float32 (n, d) each, in arbitrary order."""

    generated: Tensor
    training: Tensor
    heldout: Tensor

    def check(self) -> None:
        """Refuse too few samples, or dimensions that do not match.

        Raises:
            UserError: fewer than ten samples somewhere, or different dimensions.
        """
        for name, each in (("generated", self.generated), ("training", self.training), ("held-out", self.heldout)):
            if len(each) < LEAST:
                raise too_few(name, "samples", len(each))
        if len({each.shape[1:] for each in (self.generated, self.training, self.heldout)}) > 1:
            shapes = (tuple(each.shape[1:]) for each in (self.generated, self.training, self.heldout))
            raise UserError("Features differ in shape", found=", ".join(map(str, shapes)))


@dataclass(frozen=True)
class MetricRow:
    """One metric of the table, with the score of the data themselves.

    Attributes:
        name: for programs.
        label: for people.
        value: generated against held-out samples.
        error: its standard error, where there is one.
        floor: training against the same held-out samples.
        floor_error: its standard error.
        better: `lower`, `higher` or `near_floor`.
        features: the features that it was computed on.
        generated: how many generated samples.
        reference: how many held-out ones.
        note: a remark for the reader.
        floor_spread: standard error of the floor over draws of the data (jackknife), if it is measured.
    """

    name: str
    label: str
    value: float
    error: float | None
    floor: float | None
    floor_error: float | None
    better: str
    features: str
    generated: int
    reference: int
    note: str
    floor_spread: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Metric:
    """Rows that are computed together.

    Args:
        rows: (name, label, better) of each.
        measure: real features, generated ones and a seed to a value and its error for each row.
        note: for the rows.
        largest: samples on each side; of larger sets the first.
        paired: as many real as generated samples.
        with_spread: also measure how much the floor varies with the data.
    """

    rows: tuple[tuple[str, str, str], ...]
    measure: Callable[[Tensor, Tensor, int], Sequence[Value]]
    note: str
    largest: int = LARGEST
    paired: bool = False
    with_spread: bool = False


def evaluate(
    populations: Populations, *, features: str, seed: int = 0, log: Log = lambda label: None
) -> list[MetricRow]:
    """All metrics: generated against held-out features, and as floor as many training ones against the same.

    Args:
        populations: the features.
        features: their name.
        seed: of directions, folds and subsamples.
        log: receives the label of what is computed next.

    Raises:
        UserError: too few samples, or different dimensions.
    """
    populations.check()
    rows: list[MetricRow] = []
    for metric in METRICS:
        log(metric.rows[0][1])
        rows += measured(metric, populations, features, seed)
    return rows


def measured(metric: Metric, populations: Populations, features: str, seed: int) -> list[MetricRow]:
    """The rows of one metric."""
    real, fake, training = sides(metric, populations.heldout, populations.generated, populations.training)
    values, floors = metric.measure(real, fake, seed), metric.measure(real, training, seed)
    short = f"; floor of {len(training)} training samples" if len(training) < len(fake) else ""
    spread = floor_spread(metric, real, training, seed)
    return [
        MetricRow(
            *(name, label, *value, *floor, better, features, len(fake), len(real), metric.note + short),
            floor_spread=spread,
        )
        for (name, label, better), value, floor in zip(metric.rows, values, floors, strict=True)
    ]


def floor_spread(metric: Metric, real: Tensor, training: Tensor, seed: int) -> float | None:
    """The standard error of a metric's floor over draws of the data: delete-a-tenth jackknife of both samples.

    Source: Efron and Stein 1981. √(9/10 Σ (xᵢ - x̄)²), with xᵢ computed without the i-th tenth.
    """
    if not metric.with_spread:
        return None
    left = [metric.measure(_without(real, part), _without(training, part), seed)[0][0] for part in range(JACKKNIFE)]
    found = torch.tensor(left, dtype=torch.float64)
    return ((JACKKNIFE - 1) * found.var(correction=0)).sqrt().item()


def _without(rows: Tensor, part: int) -> Tensor:
    return rows[torch.arange(len(rows)) % JACKKNIFE != part]


def sides(metric: Metric, real: Tensor, fake: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """The part of each sample that a metric uses: as many of the others as of the fake one, if there are that many."""
    real, fake, *others_taken = (each[: metric.largest] for each in (real, fake, *others))
    if metric.paired:
        fewest = min(len(real), len(fake))
        real, fake = real[:fewest], fake[:fewest]
    return (real, fake, *(each[: len(fake)] for each in others_taken))


def _frechet(real: Tensor, fake: Tensor, seed: int) -> list[Value]:
    return [(frechet_of_features(real, fake), None)]


def _kernel(real: Tensor, fake: Tensor, seed: int) -> list[Value]:
    found = kernel_distance(real, fake)
    return [(found.value, found.standard_error)]


def _neighbours(real: Tensor, fake: Tensor, seed: int) -> list[Value]:
    return [(value, None) for value in asdict(neighbour_metrics(real, fake, neighbours=NEIGHBOURS)).values()]


def _own_distance(real: Tensor, fake: Tensor, seed: int) -> list[Value]:
    return [(nearest(fake, fake, count=2)[0][:, 1].median().item(), None)]


def _sliced(real: Tensor, fake: Tensor, seed: int) -> list[Value]:
    found = sliced_w1_estimate(fake, real, projections=PROJECTIONS, rng=torch.Generator().manual_seed(seed))
    return [(found.value.item(), found.standard_error)]


def _interval(real: Tensor, fake: Tensor, seed: int) -> list[Value]:
    rng = torch.Generator().manual_seed(seed)
    bounds = interval_by_work(fake, real, rng=rng, tolerance=INTERVAL_TOLERANCE, work=INTERVAL_WORK)
    return [(bound, None) for bound in bounds]


def _classifier(real: Tensor, fake: Tensor, seed: int) -> list[Value]:
    found = classifier_two_sample(real, fake, seed=seed)
    return [(found.auc, found.standard_error)]


METRICS = (
    Metric(
        (("frechet_distance", "Fréchet distance", "lower"),),
        _frechet,
        "between Gaussians; squared units; falls with the number of samples",
    ),
    Metric((("kernel_distance", "Kernel distance", "lower"),), _kernel, "unbiased MMD², cubic kernel; jackknife error"),
    Metric(
        (
            ("precision", "Precision", "higher"),
            ("recall", "Recall", "higher"),
            ("density", "Density", "near_floor"),
            ("coverage", "Coverage", "higher"),
        ),
        _neighbours,
        f"balls to the {NEIGHBOURS}th neighbour; equal counts",
        paired=True,
    ),
    Metric(
        (("own_distance", "Distance to the next sample of its own", "near_floor"),),
        _own_distance,
        "median; small where samples repeat",
        paired=True,
    ),
    Metric(
        (("sliced_w1", "Sliced W1", "lower"),),
        _sliced,
        f"{PROJECTIONS} directions; the error is that of the directions",
        with_spread=True,
    ),
    Metric(
        (
            ("w1_lower", "W1 of the samples, lower bound", "lower"),
            ("w1_upper", "W1 of the samples, upper bound", "lower"),
        ),
        _interval,
        "certain; above W1 of the distributions, as all samples are",
        largest=INTERVAL_LARGEST,
        paired=True,
    ),
    Metric(
        (("c2st_auc", "Classifier two-sample test, AUC", "lower"),),
        _classifier,
        f"{CLASSIFIER}, {FOLDS} folds, {LARGEST_DIM} principal components at most; 0.5 means nobody can tell",
        largest=CLASSIFIER_LARGEST,
        paired=True,
    ),
)
