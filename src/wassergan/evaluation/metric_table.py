"""Metrics beside their anchors as rows of text: for terminals and for notebooks."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from wassergan.errors import one_line, printable

BETTER = {"lower": "lower is better", "higher": "higher is better", "near_floor": "best near its floor"}
_TONES = {"good": "#2e7d32", "doubtful": "#b26a00", "failed": "#c62828"}


def metric_cells(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Metrics as cells, the head first; of a table with a second anchor.

    Args:
        result: as `metrics.json` holds it.
    """
    is_anchored = "independent" in result["protocol"]
    anchors = ("real", "independent") if is_anchored else ("floor",)
    rows = [("metric", "value", *anchors, "samples", "")]
    for row in result["metrics"]:
        cells = [with_error(row["value"], row["error"]), with_error(row["floor"], row["floor_error"])]
        if is_anchored:
            cells.append(with_error(row["independent"], row["independent_error"]))
        rows.append((row["label"], *cells, f"{row['generated']} : {row['reference']}", BETTER[row["better"]]))
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equally many cells as lines; the first cell to the left, the others to the right but the last."""
    rows = [list(map(one_line, row)) for row in rows]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if index in (0, last) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def with_error(value: float | None, error: float | None) -> str:
    """A number with its standard error, if it has one."""
    if value is None:
        return "-"
    return f"{value:.4g}" if error is None else f"{value:.4g} ± {error:.1g}"


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the head first, as a table for a page; all text is escaped."""
    head, *body = ([_text(cell) for cell in row] for row in rows)
    lines = ["<table><thead><tr>", *(f"<th>{cell}</th>" for cell in head), "</tr></thead><tbody>"]
    for row in body:
        lines += ["<tr>", *(f"<td>{cell}</td>" for cell in row), "</tr>"]
    return "".join([*lines, "</tbody></table>"])


def html_sentence(text: str, *, level: str = "") -> str:
    """A sentence as a paragraph, marked by a verdict's level."""
    tone = f' style="border-left: 4px solid {_TONES[level]}; padding-left: 0.6em"' if level in _TONES else ""
    return f"<p{tone}>{_text(text)}</p>"


def _text(text: str) -> str:
    return escape(printable(text))
