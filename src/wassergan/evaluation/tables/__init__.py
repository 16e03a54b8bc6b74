"""Evaluation of table rows: by column, by pair, and by trees trained on them, with two anchors."""

from wassergan.evaluation.tables.columns import TableColumn, columns_of, independent, known
from wassergan.evaluation.tables.evaluate import EvaluationData, EvaluationResult, Samples, TableRow, evaluate_rows
from wassergan.evaluation.tables.pairs import Bins, associations, telling_pairs
from wassergan.evaluation.tables.trees import Target, default_target, get_target

__all__ = [
    "Bins",
    "EvaluationData",
    "EvaluationResult",
    "Samples",
    "TableColumn",
    "TableRow",
    "Target",
    "associations",
    "columns_of",
    "default_target",
    "evaluate_rows",
    "get_target",
    "independent",
    "known",
    "telling_pairs",
]
