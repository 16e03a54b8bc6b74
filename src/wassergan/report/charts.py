"""A run's log as charts, with notes on how to read them. The page's script passes them to Plotly."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wassergan.report.outlook import outlook
from wassergan.storage.tick_distance import LABELS, UNITS, logged_distance, scale_names

Log = Sequence[Mapping[str, Any]]

# Two hues that can be distinguished in both themes and by colour-blind readers; the page's style sheet holds their
# values.
REAL, GENERATED = "real", "generated"
SCALES = 5  # tones of single scales, which are neither: `scale-0` to `scale-4`
LOGARITHMIC_FROM = 5.0  # largest over smallest value
LIKELIHOOD = "negative_log_likelihood"


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        label: in the legend.
        tone: its colour, by meaning.
        steps: generator steps.
        seconds: of training, at the same ticks.
        values: at the same ticks.
        dash: drawn dashed: the reference for the others.
        filled: the area up to the series before is filled.
    """

    label: str
    tone: str
    steps: list[int]
    seconds: list[float]
    values: list[float]
    dash: bool = False
    filled: bool = False


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        name: unique on the page.
        title: above it.
        unit: of its values.
        note: how to read it, one sentence.
        series: its lines.
        logarithmic: whether its values are drawn on a logarithmic scale.
    """

    name: str
    title: str
    unit: str
    note: str
    series: list[Series]
    logarithmic: bool = False

    @property
    def summary(self) -> str:
        """A description of the chart, for readers who cannot see it."""
        told = (
            f"{series.label}: from {series.values[0]:.4g} at step {series.steps[0]} to {series.values[-1]:.4g} "
            f"at step {series.steps[-1]}"
            for series in self.series
        )
        return f"{self.title}, in {self.unit}. {'; '.join(told)}."

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def charts_of(log: Log) -> list[Chart]:
    """The charts for which a log holds values."""
    return [chart for chart in _charts(log) if chart.series]


def _charts(log: Log) -> Iterator[Chart]:
    name = logged_distance(log)
    scales = [
        (each, f"scale {side}", f"scale-{index % SCALES}")
        for index, (each, side) in enumerate(scale_names(log).items())
    ]
    label = "mean over scales, generated against held-out" if scales else "generated against held-out"
    sliced = _series(log, (name, label, GENERATED), *scales)
    values = [value for series in sliced for value in series.values]
    yield Chart(
        "sliced",
        f"{LABELS[name]} of the averaged generator",
        UNITS[name],
        "How far generated samples are from held-out ones. The dashed floor is what as many training samples score: "
        f"nearer than that no honest generator comes. {outlook(log)}".rstrip(),
        sliced + _series(log, (f"{name}_floor", "floor: training against held-out", REAL), dash=True),
        logarithmic=bool(values) and min(values) > 0 and max(values) > LOGARITHMIC_FROM * min(values),
    )
    yield Chart(
        "interval",
        "W1 of the samples, certain bounds",
        "model units",
        "Both ends hold for these samples. W1 of their distributions is lower; hence the floor, from real samples.",
        _series(log, ("w1_lower", "lower bound", GENERATED), ("w1_upper", "upper bound", GENERATED), band=True)
        + _series(log, ("w1_floor", "floor: training against held-out", REAL), dash=True),
    )
    yield _likelihood(log)
    # Where a generator followed its likelihood alone, its critic has nothing to tell.
    told = [] if critic_rested(log) else [tick for tick in log if "critic_gap" in tick or LIKELIHOOD not in tick]
    yield Chart(
        "gap",
        "Critic gap",
        "score units",
        "Mean score of real less that of generated samples: no distance. Where held-out samples fall behind training "
        "samples, the critic knows its training samples by heart.",
        _series(told, ("critic_gap", "training samples", REAL), ("critic_gap_heldout", "held-out samples", GENERATED)),
    )
    yield Chart(
        "slope",
        "Critic's gradient norm between samples",
        "score per unit of input",
        "At most 1 for a critic that is 1-Lipschitz; penalties only encourage that.",
        _series(told, ("gradient_norm_mean", "mean", REAL), ("gradient_norm_max", "largest seen", GENERATED)),
    )
    yield Chart(
        "losses",
        "Penalty and generator loss",
        "score units",
        "What training works with. They say little about the samples.",
        _series(log, ("penalty", "penalty", REAL), ("generator_loss", "generator loss", GENERATED)),
    )


def critic_rested(log: Log) -> bool:
    """Whether the generator followed its likelihood alone from the first step to the last."""
    return any(LIKELIHOOD in tick for tick in log) and not any("critic_gap" in tick for tick in log)


def _likelihood(log: Log) -> Chart:
    return Chart(
        "likelihood",
        "Negative log-likelihood",
        "nats a sample",
        "Each column or step given the true ones before it. What it falls by is a divergence that is gone. Where that "
        "of held-out samples rises while that of training samples falls, samples are learnt by heart. Training samples "
        "as they are learnt, with a part left out, and so higher at first; held-out ones by the averaged generator.",
        _series(
            log,
            (LIKELIHOOD, "training samples", REAL),
            (f"{LIKELIHOOD}_heldout", "held-out samples", GENERATED),
        ),
    )


def _series(log: Log, *named: tuple[str, str, str], dash: bool = False, band: bool = False) -> list[Series]:
    """The named values of a log, each with the ticks that have it; of a band, all after the first are filled."""
    found = []
    for index, (name, label, tone) in enumerate(named):
        ticks = [record for record in log if name in record]
        if ticks:
            found.append(
                Series(
                    label,
                    tone,
                    [tick["step"] for tick in ticks],
                    [round(tick["seconds"], 3) for tick in ticks],
                    [float(tick[name]) for tick in ticks],
                    dash=dash,
                    filled=band and index > 0,
                )
            )
    return found
