"""What a monitor says about one batch."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from wassergan.errors import one_line
from wassergan.monitor.columns import ColumnDrift
from wassergan.monitor.evidence import Evidence

COLUMNS_SHOWN, ROWS_SHOWN = 10, 5


@dataclass(frozen=True)
class MovedRow:
    """A row of a batch and its way in the optimal plan.

    Attributes:
        row: its index in the batch, from 0 on.
        distance: mean distance to the rows of the reference that the plan pairs it with, in the unit of the metric.
        column: the column that accounts for most of it; empty for pictures.
    """

    row: int
    distance: float
    column: str


@dataclass(frozen=True)
class BatchReport:
    """A batch against the reference.

    Attributes:
        number: of the batch in its stream, from 1 on.
        name: of the batch.
        season: its season; None where the reference has none.
        rows: in the batch.
        reference_rows: in the reference, of this season.
        tested_rows: of the reference and the batch in the joint distance and its test; the columns use all.
        alpha: level of `alarm`.
        p_value: of the joint test, exact at every sample size.
        alarm: p_value ≤ alpha: a false alarm has at most this probability in each batch.
        w1: W1 of the tested rows in the metric of the monitor.
        w1_lower: its certificate: no plan costs less.
        w1_upper: the cost of a plan.
        floor: W1 of two samples of these sizes from one distribution, see `floor_from`.
        floor_from: `the reference`, or `the pooled rows` where the reference is too small to be split.
        lower: finite-sample lower confidence bound on W1 of the distributions, in the metric.
        confidence: probability that `lower` holds.
        columns: drift of each column, those that moved first.
        margins_share: the share of W1 above the floor that goes away when every column of the batch gets the
            distribution that it has in the reference; the rest is in how columns go together. None without an alarm.
        moved_rows: rows of the batch with the longest way in the plan, the longest first; none without an alarm.
        evidence: of the whole stream so far.
        notes: sentences on what was left out or sampled.
    """

    number: int
    name: str
    season: str | None
    rows: int
    reference_rows: int
    tested_rows: tuple[int, int]
    alpha: float
    p_value: float
    alarm: bool
    w1: float
    w1_lower: float
    w1_upper: float
    floor: float
    floor_from: str
    lower: float
    confidence: float
    columns: tuple[ColumnDrift, ...]
    margins_share: float | None
    moved_rows: tuple[MovedRow, ...]
    evidence: Evidence
    notes: tuple[str, ...]

    @property
    def moved(self) -> tuple[ColumnDrift, ...]:
        """The columns whose corrected p-value is at most alpha."""
        return tuple(each for each in self.columns if each.moved)

    def facts(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return asdict(self)

    def json_line(self) -> str:
        """One line of JSON."""
        return json.dumps(self.facts())

    def words(self) -> str:
        """Some lines for people."""
        season = f", {self.season}" if self.season is not None else ""
        only_columns = "no change of the whole seen, but of columns" if self.moved else "no change seen"
        verdict = "changed" if self.alarm else only_columns
        lines = [
            f"{self.name}{season}: {verdict}, p {self.p_value:.2g} "
            f"({self.rows} {'row' if self.rows == 1 else 'rows'} against {self.reference_rows} of the reference)",
            f"  W1 {self.w1:.4g} in [{self.w1_lower:.6g}, {self.w1_upper:.6g}]; by chance {self.floor:.4g} "
            f"(from {self.floor_from}); {self._of_distributions()} (confidence {self.confidence:g})",
        ]
        shown = self.moved[:COLUMNS_SHOWN]
        lines += [f"  {each.words()}" for each in shown]
        if len(self.moved) > len(shown):
            lines.append(f"  and {len(self.moved) - len(shown)} more columns")
        if self.margins_share is not None:
            lines.append(f"  Columns by themselves explain {100 * self.margins_share:.0f} % of the distance")
        if self.moved_rows:
            moved = (
                f"{each.row} ({each.distance:.3g}{f', {each.column}' if each.column else ''})"
                for each in self.moved_rows
            )
            lines.append(f"  Rows that moved farthest: {', '.join(moved)}")
        lines += [f"  {each}" for each in self.notes]
        return "\n".join(map(one_line, [*lines, f"  {stream_words(self.evidence)}"]))

    def _of_distributions(self) -> str:
        if self.lower > 0:
            return f"the distributions are at least {self.lower:.4g} apart"
        return "the distributions may be the same"


def stream_words(evidence: Evidence) -> str:
    """The evidence of a stream, one sentence."""
    text = f"Stream of {evidence.batches}: anytime-valid p {evidence.p_value:.2g}"
    if evidence.alarm_at is None:
        return f"{text}, no alarm"
    since = evidence.changed_since or evidence.alarm_at
    return f"{text}, alarm at batch {evidence.alarm_at}, evidence from batch {since} on"
