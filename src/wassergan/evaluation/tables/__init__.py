"""Evaluation of table rows: by column, by pair, and by trees trained on them, with two anchors."""

from wassergan.evaluation.tables.columns import TableColumn, columns_of, independent, known
from wassergan.evaluation.tables.evaluate import Case, Judgement, Samples, TableRow, judge_table
from wassergan.evaluation.tables.pairs import Bins, associations, telling_pairs
from wassergan.evaluation.tables.trees import Target, default_target, target_named

__all__ = [
    "Bins",
    "Case",
    "Judgement",
    "Samples",
    "TableColumn",
    "TableRow",
    "Target",
    "associations",
    "columns_of",
    "default_target",
    "independent",
    "judge_table",
    "known",
    "target_named",
    "telling_pairs",
]
