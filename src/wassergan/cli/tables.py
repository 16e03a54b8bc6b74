"""Evaluations and comparisons as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from wassergan.errors import one_line
from wassergan.evaluation.metric_table import BETTER, aligned, metric_cells, with_error

MOST_CHANNELS = 24  # that are shown; all are in metrics.json


def evaluation_table(result: Mapping[str, Any]) -> str:
    """The protocol, the metrics beside their floors, near copies and the verdict."""
    protocol = result["protocol"]
    is_anchored = "independent" in protocol
    reference = f"samples of {protocol['against']}" if protocol["against"] else "held-out samples"
    lines = [*_headline(result)]
    lines += [
        f"{protocol['data']}, step {protocol['step']} ({protocol['checkpoint']} checkpoint, averaged weights): "
        f"{protocol['generated']} generated{_refined(protocol)} against {protocol['heldout']} {reference}"
        + ("." if is_anchored else f", floors from {protocol['training']} training samples."),
        f"Features: {protocol['features']}, {protocol['feature_dim']} numbers ({protocol['feature_note']}). "
        f"Seed {protocol['seed']}, {protocol['seconds']:.1f} s, wassergan {protocol['wassergan']}.",
        *(_anchors_of_table(protocol) if is_anchored else ()),
        "",
    ]
    lines += [*aligned(metric_cells(result)), ""]
    if result.get("channels"):
        lines += [*aligned(_channel_cells(result["channels"])), ""]
    lines += [result["memorisation"]["sentence"], result["verdict"]["sentence"]]
    if result["memorisation"]["picture"]:
        lines.append(f"The closest pairs: {result['memorisation']['picture']}")
    pictures = [*result.get("pictures", {}).values(), *(pair["picture"] for pair in result.get("pairs", ()))]
    if pictures:
        lines.append(f"Pictures: {', '.join(pictures)}")
    return "\n".join(map(one_line, lines))


def _headline(result: Mapping[str, Any]) -> list[str]:
    """The three numbers of a table, and an empty line."""
    cells = [(each["title"], f"{each['score']} of 100", each["words"]) for each in result.get("headline", ())]
    return [*aligned(cells), ""] if cells else []


def _channel_cells(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One line per channel, the head first; those that are far lead where there are many."""
    shown = sorted(rows, key=lambda row: not row["far"])[:MOST_CHANNELS]
    gaps = any(row["missing"] or row["missing_real"] for row in rows)
    head = ("channel", "W1", "floor", "mean", "real", "deviation", "real", *(("missing", "real") if gaps else ()), "")
    cells = [head]
    for row in shown:
        numbers = [row[name] for name in ("w1", "floor", "mean", "mean_real", "deviation", "deviation_real")]
        shares = [f"{100 * row[name]:.3g} %" for name in ("missing", "missing_real")] if gaps else []
        texts = ["" if number is None else f"{number:.4g}" for number in numbers]
        cells.append((row["name"], *texts, *shares, "far" if row["far"] else ""))
    if len(rows) > len(shown):
        cells.append((f"and {len(rows) - len(shown)} more", *[""] * (len(head) - 1)))
    return cells


def _refined(protocol: Mapping[str, Any]) -> str:
    draws = protocol.get("refine")
    return f" (one of {draws} draws kept)" if draws else ""


def _anchors_of_table(protocol: Mapping[str, Any]) -> list[str]:
    target = f"'{protocol['target']}' ({protocol['target_note']})" if protocol["target"] else protocol["target_note"]
    return [
        f"real: {protocol['training']} training rows against the same held-out ones; independent: "
        f"{protocol['independent']}. At most {protocol['largest']} rows of each are judged.",
        f"Target: {target}. SDMetrics: {protocol['sdmetrics']}.",
    ]


def comparison_table(result: Mapping[str, Any]) -> str:
    """Runs as numbered columns, metrics and differing settings as rows; a star at the best."""
    runs = result["runs"]
    head = ["", *(f"[{index}]" for index in range(1, len(runs) + 1)), ""]
    metrics = [
        [
            row["label"],
            *(
                ("* " if index == row["best"] else "") + with_error(value, row["errors"][index])
                for index, value in enumerate(row["values"])
            ),
            _floors(row),
        ]
        for row in result["rows"]
    ]
    flags = [["verdict", *(_flags(each) for each in result["verdicts"]), ""]]
    reached = [[name, *(_plain(value) for value in values), ""] for name, values in result["reached"].items()]
    settings = [[name, *(_plain(value) for value in values), ""] for name, values in result["settings"].items()]
    table = aligned([head, *metrics, *flags, *reached, *settings])
    named = [f"[{index}] {run}" for index, run in enumerate(runs, 1)]
    source = "evaluations" if result["source"] == "metrics" else "the runs' last ticks"
    return "\n".join([*map(one_line, named), f"Numbers from {source}; * marks the best.", "", *table])


def _flags(verdict: Mapping[str, Any] | None) -> str:
    """What is wrong with a run, or the level of its verdict."""
    return (", ".join(verdict["flags"]) or str(verdict.get("level", "none"))) if verdict else "-"


def _floors(row: Mapping[str, Any]) -> str:
    floors = list(dict.fromkeys(_plain(each) for each in row["floors"] if each is not None))
    return f"{BETTER[row['better']]}" + (f", floor {floors[0]}" if len(floors) == 1 else "")


def _plain(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
