"""Runs side by side: their metrics, the settings in which they differ, and whether their numbers can be compared."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wassergan.errors import UserError, typed
from wassergan.session.run_content import run_summary
from wassergan.storage.files import read_text
from wassergan.storage.run_folder import RunFolder
from wassergan.storage.tick_distance import LABELS

# What a summary holds of runs that were not evaluated, and what is better.
SUMMARY_METRICS = dict.fromkeys(LABELS, "lower")
SPEED = ("steps", "seconds")
# Settings that say nothing of the recipe.
INCIDENTAL = ("tick_steps", "keep", "previews", "w1_every")
PROTOCOL = ("features", "feature_dim", "generated", "training", "heldout", "against", "data", "target")

NOT_COMPARABLE = "such numbers are not comparable"


def compare_runs(folders: Sequence[Path]) -> dict[str, Any]:
    """What runs scored, one column per run.

    Returns:
        `runs`: paths; `source`: `metrics` (of metrics.json, where all runs have one) or `summary` (of the last
        tick); `rows`: name, label, better, values, errors and floors by run, and the index of the best,
        None where none is;
        `settings`: those that differ, by run; `warnings`: why numbers may not be comparable.

    Raises:
        UserError: fewer than two runs, no run, or a damaged metrics.json.
    """
    if len(folders) < 2:
        raise UserError("A comparison needs at least two runs", found=f"{len(folders)}")
    summaries = [run_summary(folder) for folder in folders]
    evaluations = [_evaluation(folder) for folder in folders]
    complete = [each for each in evaluations if each is not None]
    evaluated = len(complete) == len(folders)
    warnings = _warnings(folders, summaries, evaluations)
    rows = _metric_rows(complete) if evaluated else _summary_rows(summaries)
    if any(NOT_COMPARABLE in warning for warning in warnings):
        rows = [row | {"best": None} for row in rows]
    return {
        "runs": [str(folder) for folder in folders],
        "source": "metrics" if evaluated else "summary",
        "rows": rows,
        "reached": {name: [summary[name] for summary in summaries] for name in SPEED},
        "verdicts": [each and each["verdict"] for each in evaluations],
        "settings": _differing(summaries),
        "warnings": warnings,
    }


def _evaluation(folder: Path) -> dict[str, Any] | None:
    RunFolder(folder).finish_results()
    path = RunFolder(folder).metrics
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(read_text(path, follow=False))
        _ = content["protocol"]["step"], content["metrics"][0]["name"], content["verdict"]["flags"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged", found=repr(error), hint=f"write it anew: wassergan evaluate {typed(folder)}"
        ) from error
    return content


def _metric_rows(evaluations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that every evaluation has, in the order of the first."""
    tables = [{row["name"]: row for row in each["metrics"]} for each in evaluations]
    rows = []
    for name, first in tables[0].items():
        found = [table[name] for table in tables if name in table]
        if len(found) < len(tables):
            continue
        values, floors = ([row[key] for row in found] for key in ("value", "floor"))
        best = _best(values, floors, first["better"])
        errors = [row["error"] for row in found]
        rows.append(_row(name, first["label"], first["better"], values, errors, floors, best))
    return rows


def _summary_rows(summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for name, better in SUMMARY_METRICS.items():
        values, floors = ([summary.get(key) for summary in summaries] for key in (name, f"{name}_floor"))
        if all(value is None for value in values):
            continue
        errors = [None] * len(values)
        best = _best(values, floors, better)
        rows.append(_row(name, f"{LABELS[name]} at the last tick", better, values, errors, floors, best))
    return rows


def _row(
    name: str,
    label: str,
    better: str,
    values: Sequence[float | None],
    errors: Sequence[float | None],
    floors: Sequence[float | None],
    best: int | None,
) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "better": better,
        "values": list(values),
        "errors": list(errors),
        "floors": list(floors),
        "best": best,
    }


def _best(values: Sequence[float | None], floors: Sequence[float | None], better: str) -> int | None:
    """Which run is best; none where values are missing or the best ones are equal."""
    losses = []
    for value, floor in zip(values, floors, strict=True):
        if value is None or (floor is None and better == "near_floor"):
            return None
        losses.append(abs(value - (floor or 0)) if better == "near_floor" else -value if better == "higher" else value)
    smallest = min(losses)
    return losses.index(smallest) if losses.count(smallest) == 1 else None


def _differing(summaries: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    settings = [summary["settings"] for summary in summaries]
    names = dict.fromkeys(name for each in settings for name in each if name not in INCIDENTAL)
    rows = {name: [each.get(name) for each in settings] for name in names}
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}


def _warnings(
    folders: Sequence[Path], summaries: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any] | None]
) -> list[str]:
    warnings = []
    missing = [str(folder) for folder, each in zip(folders, evaluations, strict=True) if each is None]
    complete = [each for each in evaluations if each is not None]
    if missing and complete:
        warnings.append(f"Not evaluated, so only the last ticks are compared: {', '.join(missing)}.")
    if not missing:
        for name in PROTOCOL:
            values = [each["protocol"].get(name) for each in complete]
            if any(value != values[0] for value in values):
                shown = ", ".join(str(value) for value in values)
                warnings.append(f"The protocols differ in {name} ({shown}): {NOT_COMPARABLE}.")
    elif any(summary["data"] != summaries[0]["data"] for summary in summaries):
        warnings.append(f"The runs were trained on different data: {NOT_COMPARABLE}.")
    for folder, summary, each in zip(folders, summaries, evaluations, strict=True):
        if (
            each is not None
            and each["protocol"]["checkpoint"] == "latest"
            and each["protocol"]["step"] != summary["steps"]
        ):
            warnings.append(
                f"{folder} was evaluated at step {each['protocol']['step']} and has gone on to step {summary['steps']}."
            )
    return warnings
