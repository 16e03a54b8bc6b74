"""Every metric of a table, each with two anchors: real training rows, and columns drawn independently."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from wassergan.data.context import Rows as RowsAnywhere
from wassergan.evaluation.evaluate import LEAST, METRICS, Log, Metric, MetricRow, floor_spread, sides, too_few
from wassergan.evaluation.tables.columns import Rows, TableColumn, Weights
from wassergan.evaluation.tables.copies import exact_copies
from wassergan.evaluation.tables.marginals import invalid_share, marginal_distance, missing_gap
from wassergan.evaluation.tables.pairs import MOST_COLUMNS, Bins, Matrix, association_gap, associations
from wassergan.evaluation.tables.quality import quality_score, quality_version
from wassergan.evaluation.tables.trees import LARGEST, Target, predicted, told_apart
from wassergan.evaluation.twosample import CLASSIFIER, FOLDS

# Of the metrics of vectors; the others assume a density, or are computed on the columns themselves here.
VECTOR_METRICS = ("precision", "own_distance", "sliced_w1", "w1_lower")
CODED = "coded"


@dataclass(frozen=True)
class TableRow(MetricRow):
    """One metric of a table; its floor is the score of real rows.

    Attributes:
        independent: the score of rows with independently drawn columns.
        independent_error: its standard error.
    """

    independent: float | None
    independent_error: float | None


@dataclass(frozen=True)
class Samples:
    """Rows of one sample, in arbitrary order: in the user's units, (n, columns), and as vectors, (k, d).

    The vectors are those of the first k rows; with weights, of rows in proportion to these.

    Attributes:
        weights: with which the rows count; None for one each.
        drawn: rows in proportion to the weights, for what knows no weights; None for the rows themselves.
    """

    rows: Rows
    vectors: Tensor
    weights: Weights | None = None
    drawn: Rows | None = None

    @property
    def even(self) -> Rows:
        """Rows that count alike, and are distributed as these are with their weights."""
        return self.rows if self.drawn is None else self.drawn


@dataclass(frozen=True)
class EvaluationData:
    """What is judged.

    Args:
        columns: of the table.
        generated: drawn from the generator.
        training: real rows that were trained on, as many as generated ones if there are so many.
        heldout: real rows that were not.
        independent: training rows, every column shuffled separately.
        target: the column to predict; None if there is none.
        trained: all rows that were trained on, in any order, to look for copies; in memory or on disk.
    """

    columns: tuple[TableColumn, ...]
    generated: Samples
    training: Samples
    heldout: Samples
    independent: Samples
    target: Target | None
    trained: RowsAnywhere

    def check(self) -> None:
        """Refuse too few rows.

        Raises:
            UserError: fewer than ten rows somewhere.
        """
        for name, each in (("generated", self.generated), ("training", self.training), ("held-out", self.heldout)):
            if len(each.rows) < LEAST:
                raise too_few(name, "rows", len(each.rows))


@dataclass(frozen=True)
class ColumnFacts:
    """One column, generated and real.

    Attributes:
        name: of the column.
        kind: `number`, `category`, `boolean` or `date`.
        distance: total variation of categories, Kolmogorov distance of numbers; generated against held-out rows.
        floor: the same of training rows.
        missing: share among the generated rows.
        missing_real: share among the held-out rows.
        invalid: share of impossible generated values.
    """

    name: str
    kind: str
    distance: float
    floor: float
    missing: float
    missing_real: float
    invalid: float


@dataclass(frozen=True)
class EvaluationResult:
    """What was found.

    Attributes:
        rows: the metrics.
        columns: column by column.
        association_real: of the held-out rows, (c, c), of the first c columns.
        association_generated: of the generated rows.
        quality: SDMetrics' version, or why it gives no score.
    """

    rows: tuple[TableRow, ...]
    columns: tuple[ColumnFacts, ...]
    association_real: Matrix
    association_generated: Matrix
    quality: str


def evaluate_rows(case: EvaluationData, *, seed: int = 0, log: Log = lambda label: None) -> EvaluationResult:
    """All metrics of a table, against the held-out rows unless a note says otherwise.

    Args:
        case: what is judged.
        seed: of directions, folds, subsamples and trees.
        log: receives the label of what is computed next.

    Raises:
        UserError: too few rows.
    """
    case.check()
    log("Columns")
    columns = column_facts(case)
    rows = _marginals(case, columns)
    log("Pairs of columns")
    matrices = _associations(case)
    rows.append(_association_row(case, matrices))
    log(CLASSIFIER.capitalize())
    rows += [_told_apart(case, seed), *([_predicted(case, case.target, seed)] if case.target else [])]
    for metric in METRICS:
        if metric.rows[0][0] in VECTOR_METRICS:
            log(metric.rows[0][1])
            rows += _vectors(metric, case, seed)
    log("Exact copies")
    rows.append(_copies(case))
    log("Quality by SDMetrics")
    score, version = quality_row(case)
    rows += [score] if score else []
    return EvaluationResult(tuple(rows), columns, matrices[1], matrices[0], version)


def column_facts(case: EvaluationData) -> tuple[ColumnFacts, ...]:
    """Every column, generated and training rows against the held-out ones."""
    found = []
    for index, column in enumerate(case.columns):
        made, real, held = (each.rows[:, index] for each in (case.generated, case.training, case.heldout))
        counted = case.heldout.weights
        facts = ColumnFacts(
            name=column.name,
            kind=column.kind,
            distance=marginal_distance(column, made, held, (None, counted)),
            floor=marginal_distance(column, real, held, (case.training.weights, counted)),
            missing=float(np.isnan(made).mean()),
            missing_real=float(np.average(np.isnan(held), weights=counted)),
            invalid=float(column.invalid(made).mean()),
        )
        found.append(facts)
    return tuple(found)


def _marginals(case: EvaluationData, columns: tuple[ColumnFacts, ...]) -> list[TableRow]:
    rows = []
    for name, label, levels in (
        ("category_tv", "Total variation of a category, largest", True),
        ("number_ks", "Kolmogorov distance of a number, largest", False),
    ):
        chosen = [facts for facts, column in zip(columns, case.columns, strict=True) if bool(column.levels) == levels]
        if chosen:
            worst = max(chosen, key=lambda facts: facts.distance)
            floor = max(facts.floor for facts in chosen)
            note = f"column {worst.name}; mean over columns {np.mean([facts.distance for facts in chosen]):.3g}"
            rows.append(_row(case, name, label, "lower", (worst.distance, floor, floor), note))
    made, real, held = (each.rows for each in (case.generated, case.training, case.heldout))
    counted = case.heldout.weights
    floor = missing_gap(real, held, (case.training.weights, counted))
    note = "largest difference of a column's share; a share of 1"
    values = (missing_gap(made, held, (None, counted)), floor, floor)
    rows.append(_row(case, "missing_gap", "Missing values, gap of shares", "lower", values, note))
    shown = (case.generated, case.heldout, case.independent)
    invalid = _three(invalid_share(case.columns, each.rows, each.weights) for each in shown)
    note = "a number out of the training rows' range or with more decimals, no such level, missing where none is; "
    return [*rows, _row(case, "invalid", "Invalid rows, share", "lower", invalid, note + "real: held-out rows")]


def _associations(case: EvaluationData) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Of generated, held-out, training and independent rows."""
    columns = case.columns[:MOST_COLUMNS]
    bins = Bins.fit(columns, case.training.rows[:, : len(columns)])
    samples = (case.generated, case.heldout, case.training, case.independent)
    made, held, real, apart = (associations(bins, each.rows[:, : len(columns)], each.weights) for each in samples)
    return made, held, real, apart


def _association_row(case: EvaluationData, matrices: tuple[Matrix, Matrix, Matrix, Matrix]) -> TableRow:
    made, held, *others = matrices
    gaps = (association_gap(made, held), association_gap(others[0], held), association_gap(others[1], held))
    cut = f"; first {MOST_COLUMNS} columns" if len(case.columns) > MOST_COLUMNS else ""
    note = f"Cramér's V of all pairs, mean difference{cut}"
    return _row(case, "association_gap", "Association of columns, gap", "lower", gaps, note)


def _told_apart(case: EvaluationData, seed: int) -> TableRow:
    held = case.heldout
    found = [
        told_apart(case.columns, held.rows, each.rows, seed=seed, weights=(held.weights, each.weights))
        for each in (case.generated, case.training, case.independent)
    ]
    note = f"{CLASSIFIER} on the columns themselves, {FOLDS} folds, as many of each; 0.5 means nobody can tell"
    row = _row(case, "c2st_auc", "Classifier two-sample test, AUC", "lower", _three(each.auc for each in found), note)
    error, floor_error, independent_error = _three(each.standard_error for each in found)
    count = min(row.generated, row.reference, LARGEST)
    row = replace(row, error=error, floor_error=floor_error, independent_error=independent_error)
    return replace(row, generated=count, reference=count)


def _predicted(case: EvaluationData, target: Target, seed: int) -> TableRow:
    learnt = (case.generated, case.training, case.independent)
    real, held = case.training.rows, case.heldout
    scores = _three(
        predicted(case.columns, target, each.rows, real, held.rows, seed=seed, weights=(each.weights, held.weights))
        for each in learnt
    )
    label = f"Train on generated, test on real: {target.score} of {target.name}"
    note = f"{CLASSIFIER} predict {target.name} of held-out rows"
    return _row(case, "tstr", label, "higher", scores, note)


def _vectors(metric: Metric, case: EvaluationData, seed: int) -> list[TableRow]:
    """A metric of vectors, three times."""
    samples = (each.vectors for each in (case.generated, case.training, case.independent))
    real, fake, *others = sides(metric, case.heldout.vectors, *samples)
    values = [metric.measure(real, each, seed) for each in (fake, *others)]
    spread = floor_spread(metric, real, others[0], seed)
    found = []
    for (name, label, better), value, floor, apart in zip(metric.rows, *values, strict=True):
        three = (value[0], floor[0], apart[0])
        row = _row(case, name, label, better, three, metric.note)
        row = replace(row, error=value[1], floor_error=floor[1], independent_error=apart[1], features=CODED)
        found.append(replace(row, generated=len(fake), reference=len(real), floor_spread=spread))
    return found


def _copies(case: EvaluationData) -> TableRow:
    shown = (case.generated, case.heldout, case.independent)
    shares = _three(exact_copies(each.rows, case.trained, each.weights) for each in shown)
    note = "of training rows that are unique; real: held-out rows that equal one"
    label = "Exact copies of unique training rows, share"
    return _row(case, "exact_copies", label, "near_floor", shares, note)


def quality_row(case: EvaluationData) -> tuple[TableRow | None, str]:
    """SDMetrics' score with both anchors and its version; or None and the reason."""
    version = quality_version()
    if version is None:
        return None, "SDMetrics is not installed"
    real = case.training.even
    try:
        scores = _three(
            quality_score(case.columns, real, each.even) for each in (case.generated, case.heldout, case.independent)
        )
    except ImportError as error:
        return None, f"SDMetrics {version} cannot be used: {error}"
    note = f"SDMetrics {version}; against the training rows, as is usual; real: {len(case.heldout.rows)} held-out rows"
    label = "Quality by SDMetrics"
    return _row(case, "sdmetrics_quality", label, "higher", scores, note), version


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    value, floor, apart = values
    return value, floor, apart


def _row(
    case: EvaluationData, name: str, label: str, better: str, values: tuple[float, float, float], note: str
) -> TableRow:
    value, floor, apart = values
    counts = (len(case.generated.rows), len(case.heldout.rows))
    return TableRow(name, label, value, None, floor, None, better, "columns", *counts, note, apart, None)
