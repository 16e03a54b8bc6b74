"""Judging rows of tables on their own columns, beside two anchors: real rows, and columns drawn independently."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.config.verbs import EvaluateSettings
from wassergan.data import Source, TableCodec, random_positions
from wassergan.data.context import Rows as RowsAnywhere
from wassergan.data.weights import effective_count, proportional_positions
from wassergan.errors import parameter
from wassergan.evaluation.evaluate import LARGEST as LARGEST_VECTORS
from wassergan.evaluation.memorisation import Memorisation, memorisation
from wassergan.evaluation.tables import (
    EvaluationData,
    EvaluationResult,
    Samples,
    TableColumn,
    TableRow,
    Target,
    columns_of,
    default_target,
    evaluate_rows,
    get_target,
    independent,
    known,
    telling_pairs,
)
from wassergan.evaluation.tables.headline import headline, told_rows
from wassergan.evaluation.verdict import UNDECIDED, verdict
from wassergan.modality.evaluator import Evaluation, Evaluator, Picture, copies_found

LARGEST = 20_000  # rows of each sample
LARGEST_TRAINING_NUMBERS = 45_000_000  # of training vectors that generated ones are looked up in: 180 MB
PAIRS_SHOWN = 6
PRIVACY = (
    "This finds copies: it compares how far generated rows are from the closest training row with how far held-out "
    "rows are, and counts rows that equal a training row which is the only one of its kind. It is no guarantee of "
    "privacy: what a generator gives away of single rows is not bounded by it."
)
Rows = NDArray[np.float64]


class RowEvaluator(Evaluator):
    """Generated, training, held-out and independent rows, which process 0 judges alone.

    Args:
        evaluation: what is judged.
        codec: of the table.
    """

    def __init__(self, evaluation: Evaluation, codec: TableCodec) -> None:
        super().__init__(evaluation)
        self._codec = codec

    def collect(self) -> None:
        """All rows, in the user's units and as vectors; and the column to predict."""
        self.evaluation.processes.on_rank_zero(self._collect)

    def _collect(self) -> None:
        self.evaluation.log("Rows of the generator")
        self._case = self._collected()

    def measure(self, picture: Picture) -> dict[str, Any]:
        """Metrics beside both anchors, columns and telling pairs, near copies, and the verdict on all of it."""
        log, seed, case = self.evaluation.log, self.evaluation.settings.seed, self._case
        self._evaluated = evaluated = evaluate_rows(case, seed=seed, log=log)
        log("Near copies of training rows")
        most = max(1, LARGEST_TRAINING_NUMBERS // self._codec.width)
        positions = random_positions(most, self.evaluation.source.train_count)
        training = self._coded(case.columns, case.trained[positions.numpy()])
        heldout = case.heldout.vectors
        if case.heldout.weights is not None:  # of which some come several times
            heldout = self._coded(case.columns, case.heldout.rows[:LARGEST_VECTORS])
        memory = memorisation(case.generated.vectors, training, heldout)
        copies = _named(evaluated, "exact_copies")
        found = copies_found(
            memory,
            positions,
            exact_copies=copies.value,
            exact_copies_heldout=copies.floor,
            picture=None,
            privacy=PRIVACY,
        )
        rows = [asdict(row) for row in evaluated.rows]
        judged = _verdict(evaluated, memory, case.target)
        log("Pictures")
        return {
            "headline": headline(rows, found, enough=judged["level"] != UNDECIDED),
            "metrics": told_rows(rows),
            "columns": [asdict(column) for column in evaluated.columns],
            "pairs": _pairs(case, evaluated, picture),
            "pictures": {"marginals": _marginals(case, picture)},
            "memorisation": found,
            "verdict": judged,
        }

    def protocol(self) -> dict[str, Any]:
        """How many rows of each kind, the anchors, and the column that is predicted."""
        case, given = self._case, self._codec.given
        unseen = f"; without the conditions {', '.join(given)}" if given else ""
        how = (
            f"named by {parameter('target')}"
            if self.evaluation.settings.target
            else "the last column that real rows predict"
        )
        return {
            "kind": "table",
            "features": "columns",
            "feature_note": f"the vectors are the run's own coding: one-hots, and quantiles in [-1, 1]; "
            f"the first {LARGEST_VECTORS} rows at most{unseen}",
            "feature_dim": self._codec.width,
            "columns": len(case.columns),
            "generated": len(case.generated.rows),
            "training": len(case.training.rows),
            "heldout": len(case.heldout.rows),
            "effective_heldout": _effective(case.heldout),
            "largest": LARGEST,
            "trained": len(case.trained),
            "target": case.target.name if case.target else None,
            "target_note": how if case.target else "no column that real rows predict",
            "independent": "training rows, every column shuffled by itself",
            "sdmetrics": self._evaluated.quality,
        }

    def _collected(self) -> EvaluationData:
        settings, source = self.evaluation.settings, self.evaluation.source
        columns, numbers = columns_of(self._codec), np.random.default_rng(settings.seed)
        trained = _RowsAt(source, source.split.train_rows(torch.arange(source.train_count)))
        real = self._some(columns, trained, source.train_weights, numbers)
        if self.evaluation.others is None:
            heldout, weights = _RowsAt(source, source.split.heldout), source.heldout_weights
        else:
            heldout, weights = self.evaluation.others
        held = self._some(columns, heldout, weights, numbers)
        generated = self.evaluation.sampler.draw(settings.count or min(LARGEST, len(trained)), seed=settings.seed)
        shuffled = independent(real.even, seed=settings.seed)
        made, apart = (Samples(rows, self._coded(columns, rows[:LARGEST_VECTORS])) for rows in (generated, shuffled))
        case = EvaluationData(columns, made, real, held, apart, target=None, trained=trained)
        case.check()
        self.evaluation.log("A column to predict")
        return replace(case, target=_target(settings, columns, real.rows, held.rows))

    def _some(
        self,
        columns: tuple[TableColumn, ...],
        every: RowsAnywhere,
        weights: Rows | None,
        numbers: np.random.Generator,
    ) -> Samples:
        """Up to `LARGEST` real rows by chance, with their weights if they have any."""
        chosen = numbers.permutation(len(every))[:LARGEST]
        rows: Rows = every[chosen]
        if weights is None:
            return Samples(rows, self._coded(columns, rows[:LARGEST_VECTORS]))
        weights, rng = weights[chosen], torch.Generator().manual_seed(self.evaluation.settings.seed % 2**63)
        drawn = rows[proportional_positions(weights, len(rows), rng=rng).numpy()]
        return Samples(rows, self._coded(columns, drawn[:LARGEST_VECTORS]), weights, drawn)

    def _coded(self, columns: tuple[TableColumn, ...], rows: Rows) -> Tensor:
        return self._codec.encode(torch.from_numpy(known(columns, rows)))


class _RowsAt:
    """Some rows of a table (n, columns), read when they are asked for: they may lie on disk."""

    def __init__(self, source: Source, numbers: Tensor) -> None:
        self._source, self._numbers = source, numbers
        self.shape = (len(numbers), source.values(numbers[:1]).shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | NDArray[np.int64]) -> Rows:
        chosen = self._numbers[key if isinstance(key, slice) else torch.from_numpy(key)]
        return self._source.values(chosen).numpy()


def _effective(sample: Samples) -> int:
    """How many rows of equal weight a sample tells as much as."""
    return len(sample.rows) if sample.weights is None else round(effective_count(sample.weights))


def _target(
    settings: EvaluateSettings, columns: tuple[TableColumn, ...], training: Rows, heldout: Rows
) -> Target | None:
    if settings.target is not None:
        return get_target(columns, settings.target, training, heldout)
    return default_target(columns, training, heldout, seed=settings.seed)


def _marginals(case: EvaluationData, picture: Picture) -> str:
    from wassergan.plots import save_figure, table_figure

    levels = {column.name: column.levels for column in case.columns}
    dates = {column.name: column.texts for column in case.columns if column.texts}
    figure = table_figure(levels, case.generated.rows, case.heldout.even, dates=dates)
    return picture("marginals.png", lambda path: save_figure(figure, path))


def _pairs(case: EvaluationData, evaluated: EvaluationResult, picture: Picture) -> list[dict[str, Any]]:
    """The pairs of columns that tell most, each with its association and its picture."""
    from wassergan.plots import PairColumn, save_figure, table_pairs_figure

    columns = [PairColumn(column.name, column.levels, column.texts) for column in case.columns]
    found = []
    pairs = telling_pairs(evaluated.association_real, evaluated.association_generated, count=PAIRS_SHOWN)
    for number, (i, j) in enumerate(pairs, 1):
        figure = table_pairs_figure(columns, [(i, j)], case.generated.rows, case.heldout.even)

        def draw(path: Path, figure: Any = figure) -> None:
            save_figure(figure, path)

        facts = {
            "columns": [columns[i].name, columns[j].name],
            "real": float(evaluated.association_real[i, j]),
            "generated": float(evaluated.association_generated[i, j]),
            "picture": picture(f"pair-{number}.png", draw),
        }
        found.append(facts)
    return found


def _verdict(evaluated: EvaluationResult, memory: Memorisation, target: Target | None) -> dict[str, Any]:
    found = verdict(evaluated.rows, memory)
    sentence = found.sentence
    if target is not None:
        row = _named(evaluated, "tstr")
        sentence += (
            f" Trees that learn from generated rows predict {target.name} with {target.score} {row.value:.3f}; "
            f"from real rows {row.floor:.3f}, from independent columns {row.independent:.3f}."
        )
    return replace(found, sentence=sentence).as_dict()


def _named(evaluated: EvaluationResult, name: str) -> TableRow:
    return next(row for row in evaluated.rows if row.name == name)
