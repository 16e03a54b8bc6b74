"""The page of a monitor: timeline, columns, rows that moved farthest. Self-contained; loads nothing."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wassergan.report.assets import asset, template
from wassergan.storage.files import write_text

MOST_BATCHES = 400  # of the timeline, the latest
WIDTH, HEIGHT, MARGIN = 720, 200, 34
MOST_NAMED = 10  # batches in the verdict, the latest
_SMALLEST_P = 1e-6


def write_watch_page(
    path: Path, reference: str, alpha: float, history: Sequence[Mapping[str, Any]], last: Mapping[str, Any]
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        reference: its name.
        alpha: level of the alarms.
        history: summaries of the latest batches, the earliest first; one or more.
        last: the report of the last batch, in plain types.

    Raises:
        WorkError: the file system refuses.
    """
    shown = list(history)[-MOST_BATCHES:]
    page = template("watch.html").render(
        reference=reference,
        alpha=alpha,
        batches=shown[::-1],
        count=last["number"],
        last=last,
        verdict=_verdict(history, last),
        level=_level(history, last),
        charts=[
            _chart("W1 and what chance explains", "unit of the metric", shown, ("w1", "real"), ("floor", "generated")),
            _chart("Evidence of a change", "log10 of the e-value", shown, ("e", "generated"), limit=-math.log10(alpha)),
            _chart("p-value of each batch", "log10", shown, ("p", "real"), limit=math.log10(alpha)),
        ],
        style=asset("page.css"),
        shown=_shown,
    )
    write_text(path, page)


def _level(history: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> str:
    if last["evidence"]["alarm_at"] or last["alarm"]:
        return "failed"
    return "doubtful" if any(each["alarm"] for each in history) or history[-1]["moved"] else "good"


def _verdict(history: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> str:
    evidence = last["evidence"]
    of_columns = "shows, but for columns that moved, no difference from"
    own = "differs from" if last["alarm"] else of_columns if history[-1]["moved"] else "shows no difference from"
    text = f"{last['name']} {own} the reference (p {last['p_value']:.2g})."
    if evidence["alarm_at"]:
        return f"The stream has changed: alarm at batch {evidence['alarm_at']}. {text}"
    differ = [str(each["number"]) for each in history if each["alarm"]]
    if differ[:-1] or (differ and not last["alarm"]):
        text += f" Batches that differ: {', '.join(differ[-MOST_NAMED:])}."
    return f"No alarm of the stream of {evidence['batches']}. {text}"


def _value(batch: Mapping[str, Any], name: str) -> float:
    if name == "e":
        return math.log10(max(1.0, float(batch["e_value"])))
    if name == "p":
        return math.log10(max(_SMALLEST_P, float(batch["p_value"])))
    return float(batch[name])


def _chart(
    title: str, unit: str, batches: Sequence[Mapping[str, Any]], *lines: tuple[str, str], limit: float | None = None
) -> dict[str, Any]:
    """A chart as plain shapes, so that the page needs no script."""
    values = {name: [_value(each, name) for each in batches] for name, _ in lines}
    ends = [value for line in values.values() for value in line] + ([limit] if limit is not None else [])
    low, high = min(0.0, *ends), max(0.0, *ends)
    high = high if high > low else low + 1

    def height(value: float) -> float:
        return HEIGHT - MARGIN / 2 - (value - low) / (high - low) * (HEIGHT - MARGIN)

    def across(index: int) -> float:
        return MARGIN + 14 + (WIDTH - MARGIN - 24) * (index + 0.5) / len(batches)

    return {
        "title": title,
        "unit": unit,
        "low": f"{low:.3g}",
        "high": f"{high:.3g}",
        "limit": None if limit is None else round(height(limit), 1),
        "lines": [
            {
                "tone": tone,
                "label": {"w1": "W1 of the batch", "floor": "by chance", "e": "evidence", "p": "p-value"}[name],
                "path": " ".join(f"{across(k):.1f},{height(v):.1f}" for k, v in enumerate(values[name])),
                "points": [
                    (round(across(k), 1), round(height(v), 1), f"{batches[k]['name']}: {v:.4g}")
                    for k, v in enumerate(values[name])
                ],
            }
            for name, tone in lines
        ],
        "summary": "; ".join(f"{name} from {line[0]:.4g} to {line[-1]:.4g}" for name, line in values.items()),
    }


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
