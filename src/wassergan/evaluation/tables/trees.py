"""Boosted trees on rows: to predict a column, and to separate generated from real rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wassergan.errors import UserError, parameter, unknown_name
from wassergan.evaluation.tables.columns import Codes, Rows, TableColumn, Weights
from wassergan.evaluation.twosample import FOLDS, TwoSampleTest

LARGEST = 20_000  # rows that trees are trained on, on each side
MOST_LEVELS = 254  # of a category that trees see one by one; scikit-learn's take 255, of which one is all others
MOST_CLASSES = 20  # levels that are predicted; all others count as one
MANY_CLASSES, MANY_LARGEST = 4, 5000  # with more classes, trees see fewer rows: one tree per class and round
LEAST_OF_LEVEL = 10  # rows that a level needs on each side to be predicted
LEAST_LEAF = 20  # rows of the smallest leaf of scikit-learn's trees
PREDICTED_AUC, PREDICTED_R2 = 0.6, 0.1  # score that real rows must reach for a column to count as predictable
TRIED = 5000  # rows used to test whether a column can be predicted


@dataclass(frozen=True)
class Inputs:
    """Columns in the form for scikit-learn's trees: numbers, and categories of at most 255 levels.

    Attributes:
        columns: all of them.
        places: the indices of those that the trees see.
        kept: for each of these the levels that are distinguished; None for numbers.
    """

    columns: tuple[TableColumn, ...]
    places: tuple[int, ...]
    kept: tuple[Codes | None, ...]

    @classmethod
    def fit(cls, columns: Sequence[TableColumn], places: Sequence[int], rows: Rows) -> "Inputs":
        """Distinguish the most frequent levels of the given rows."""
        kept: list[Codes | None] = []
        for index in places:
            levels = len(columns[index].levels)
            counts = np.bincount(columns[index].level_codes(rows[:, index]), minlength=levels + 2)[:levels]
            kept.append(np.argsort(-counts, kind="stable")[:MOST_LEVELS] if levels else None)
        return cls(tuple(columns), tuple(places), tuple(kept))

    def __call__(self, rows: Rows) -> Rows:
        """(n, all columns) to (n, columns that are seen); other levels are one more, NaN stays."""
        seen = np.empty((len(rows), len(self.places)))
        for number, (index, kept) in enumerate(zip(self.places, self.kept, strict=True)):
            values, column = rows[:, index], self.columns[index]
            if kept is None:
                seen[:, number] = values
                continue
            numbers = np.full(len(column.levels) + 2, float(len(kept)))
            numbers[kept] = np.arange(len(kept))
            numbers[len(column.levels)] = np.nan
            seen[:, number] = numbers[column.level_codes(values)]
        return seen

    def trees(self, *, classes: bool, seed: int) -> Any:
        """Untrained trees, with scikit-learn's defaults."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor  # a second to import

        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return kind(categorical_features=[kept is not None for kept in self.kept], random_state=seed % 2**32)

    def fitted(self, seen: Rows, wanted: Any, weights: Weights | None, *, classes: bool, seed: int) -> Any:
        """Trees that have learnt what is wanted, (n,), from what is seen, (n, columns)."""
        # A column of fewer values than a leaf splits nothing; of none, also in nine tenths, scikit-learn breaks off.
        few = (~np.isnan(seen)).sum(0) < LEAST_LEAF
        learnt = np.where(few, 0.0, seen)
        return self.trees(classes=classes, seed=seed).fit(learnt, wanted, sample_weight=weights)


@dataclass(frozen=True)
class Target:
    """A column to predict.

    Attributes:
        place: the index of the column.
        name: of the column.
        classes: the values that are distinguished, (k,); None for a number. All other values count as one.
        score: the score of the prediction: `AUC`, `macro AUC` or `R²`.
    """

    index: int
    name: str
    classes: Rows | None
    score: str


def get_target(columns: Sequence[TableColumn], name: str, training: Rows, heldout: Rows) -> Target:
    """The column to predict.

    Raises:
        UserError: there is no such column, or it has too few values to be predicted.
    """
    names = [column.name for column in columns]
    if name not in names:
        raise unknown_name("column to predict", name, names)
    if len(names) < 2:
        raise UserError("A column can only be predicted from others", found="a table of one column")
    target = _target(columns, names.index(name), training, heldout)
    if target is None:
        raise UserError(
            f"Column {name} cannot be predicted",
            found=f"fewer than {LEAST_OF_LEVEL} rows of a second level, or a second value, among the training or the "
            "held-out rows",
            hint=f"name another {parameter('target')}",
        )
    return target


def default_target(columns: Sequence[TableColumn], training: Rows, heldout: Rows, *, seed: int) -> Target | None:
    """The last column that real rows can predict: AUC above 0.6, or R² above 0.1; None if there is none.

    Args:
        columns: of the table.
        training: real rows to learn from.
        heldout: real rows to be predicted.
        seed: of the trees.
    """
    for index in reversed(range(len(columns))) if len(columns) > 1 else ():
        target = _target(columns, index, training, heldout)
        if target is not None:
            found = predicted(columns, target, training[:TRIED], training[:TRIED], heldout, seed=seed)
            if found > (PREDICTED_R2 if target.classes is None else PREDICTED_AUC):
                return target
    return None


def _target(columns: Sequence[TableColumn], index: int, training: Rows, heldout: Rows) -> Target | None:
    column = columns[index]
    there = [rows[:, index][~np.isnan(rows[:, index])] for rows in (training, heldout)]
    values, counts = np.unique(there[0], return_counts=True)
    if not column.levels and len(values) > 2:
        varied = min(len(each) for each in there) >= LEAST_OF_LEVEL and len(np.unique(there[1])) > 1
        return Target(index, column.name, None, "R²") if varied else None
    often = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    enough = [int((there[1] == values[i]).sum()) >= LEAST_OF_LEVEL and counts[i] >= LEAST_OF_LEVEL for i in often]
    classes = np.sort(values[often[enough]])
    if len(classes) < 2:
        return None
    return Target(index, column.name, classes, "AUC" if len(values) == 2 else "macro AUC")


def predicted(
    columns: Sequence[TableColumn],
    target: Target,
    rows: Rows,
    reference: Rows,
    heldout: Rows,
    *,
    seed: int,
    weights: tuple[Weights | None, Weights | None] = (None, None),
) -> float:
    """How well trees trained on rows predict a column of held-out rows from all other columns.

    For two levels the area under the ROC curve; for more the mean over the levels of the area of each against all
    others; for numbers R². Rows without the target are ignored. Source: Esteban, Hyland, Rätsch 2017,
    arXiv 1706.02633, section 4.2 (train on synthetic, test on real).

    Args:
        columns: of the table.
        target: what is predicted.
        rows: to learn from, (n, columns).
        reference: real rows, which determine the rare levels.
        heldout: (m, columns), real.
        seed: of the trees.
        weights: with which the rows to learn from and the held-out ones count; None for one each.
    """
    from sklearn.metrics import r2_score

    others = [index for index in range(len(columns)) if index != target.index]
    inputs = Inputs.fit(columns, others, reference)
    many = target.classes is not None and len(target.classes) > MANY_CLASSES
    there = [~np.isnan(each[:, target.index]) for each in (rows, heldout)]
    counted = [each if each is None else each[here] for each, here in zip(weights, there, strict=True)]
    learnt, tested = rows[there[0]], heldout[there[1]]
    most = MANY_LARGEST if many else LARGEST
    learnt, counted[0] = learnt[:most], None if counted[0] is None else counted[0][:most]
    wanted, truth = learnt[:, target.index], tested[:, target.index]
    if target.classes is None:
        if len(np.unique(wanted)) < 2:
            guess = np.full(len(truth), np.average(wanted, weights=counted[0]) if len(wanted) else 0.0)
        else:
            trees = inputs.fitted(inputs(learnt), wanted, counted[0], classes=False, seed=seed)
            guess = trees.predict(inputs(tested))
        return float(r2_score(truth, guess, sample_weight=counted[1]))
    return _area(
        inputs, target.classes, (inputs(learnt), wanted, counted[0]), (inputs(tested), truth, counted[1]), seed
    )


Counted = tuple[Rows, Rows, Weights | None]


def _area(inputs: Inputs, classes: Rows, learnt: Counted, tested: Counted, seed: int) -> float:
    from sklearn.metrics import roc_auc_score

    wanted, truth = _numbered(learnt[1], classes), _numbered(tested[1], classes)
    chances = np.zeros((len(truth), len(classes) + 1))
    if len(np.unique(wanted)) > 1:
        trees = inputs.fitted(learnt[0], wanted, learnt[2], classes=True, seed=seed)
        chances[:, trees.classes_] = trees.predict_proba(tested[0])
    areas = [
        roc_auc_score(truth == each, chances[:, each], sample_weight=tested[2])
        for each in range(len(classes))
        if (truth == each).any()
    ]
    # The two areas of two levels are one number.
    return float(np.mean(areas[-1:] if len(classes) == 2 and not (truth == 2).any() else areas))


def _numbered(values: Rows, classes: Rows) -> Codes:
    """Numbers of classes, their count where a value is none of them."""
    index = np.searchsorted(classes, values).clip(max=len(classes) - 1)
    return np.where(classes[index] == values, index, len(classes))


def told_apart(
    columns: Sequence[TableColumn],
    real: Rows,
    fake: Rows,
    *,
    seed: int,
    weights: tuple[Weights | None, Weights | None] = (None, None),
) -> TwoSampleTest:
    """How well trees separate generated from real rows that they were not trained on; equally many of each are used.

    The trees see the columns themselves, categories as such. Source: Lopez-Paz and Oquab 2017, arXiv 1610.06545.

    Args:
        columns: of the table.
        real: (n, columns).
        fake: (m, columns).
        seed: of the folds.
        weights: with which the rows of each side count, as much as the other side in all; None for one each.

    Raises:
        UserError: fewer than five rows on a side.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    count = min(len(real), len(fake), LARGEST)
    if count < FOLDS:
        raise UserError(f"A test in {FOLDS} folds needs {FOLDS} rows on each side", found=f"{count}")
    both = np.concatenate([real[:count], fake[:count]])
    inputs = Inputs.fit(columns, range(len(columns)), both)
    seen, labels = inputs(both), np.repeat([0, 1], count)
    counted = np.concatenate([_mean_one(each, count) for each in weights])
    is_weighted, areas = any(each is not None for each in weights), list[float]()
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(seen, labels):
        own, others = (counted[train], counted[test]) if is_weighted else (None, None)
        trees = inputs.fitted(seen[train], labels[train], own, classes=True, seed=seed)
        scores = trees.predict_proba(seen[test])[:, 1]
        areas.append(float(roc_auc_score(labels[test], scores, sample_weight=others)))
    return TwoSampleTest(float(np.mean(areas)), float(np.std(areas, ddof=1) / FOLDS**0.5))


def _mean_one(weights: Weights | None, count: int) -> Weights:
    """Weights of the first rows, one each in the mean."""
    return np.ones(count) if weights is None else weights[:count] / weights[:count].mean()
