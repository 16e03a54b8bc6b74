"""A run folder to one self-contained page that opens from disk and loads nothing from the network."""

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from wassergan.errors import UserError
from wassergan.files import write_text

# Sliced W1 over its floor, up to which each sentence holds.
_VERDICTS = (
    (1.25, "The generated law is about as close to the held-out samples as the training samples are."),
    (2.0, "The generated law is near the data; more training may bring it nearer."),
    (4.0, "The generated law has the rough shape of the data; train longer, or try another recipe."),
    (float("inf"), "The generated law is still far from the data."),
)


def write_report(summary: dict[str, Any], log: list[dict[str, Any]], folder: Path, path: Path) -> None:
    """Write the page of a run.

    Args:
        summary: of the run, as `run_summary` gives it.
        log: its ticks.
        folder: with `curves.png` and `samples/`.
        path: the HTML file.

    Raises:
        UserError: the run has no tick yet.
        WorkError: the file system refuses.
    """
    if not log:
        raise UserError(f"The run {folder} has no tick to report", mend="train it for some steps first")
    grids = sorted((folder / "samples").glob("step-*.png"))
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        files("wassergan").joinpath("report_template.html").read_text(encoding="utf-8")
    )
    page = template.render(
        summary=summary,
        settings={name: value for name, value in summary["settings"].items() if value is not None},
        verdict=verdict(summary["sliced_w1"], summary["sliced_w1_floor"]),
        rows=_rows(summary, log),
        first=_embedded(grids[0]) if grids else None,
        last=_embedded(grids[-1]) if grids else None,
        curves=_embedded(folder / "curves.png") if (folder / "curves.png").exists() else None,
        shown=lambda value: f"{value:.4g}" if isinstance(value, float) else json.dumps(value).strip('"'),
    )
    write_text(path, page)


def verdict(sliced_w1: float, floor: float) -> str:
    """One sentence on how near the generated law is, from sliced W1 and its floor (same units)."""
    ratio = sliced_w1 / floor if floor > 0 else float("inf")
    return next(sentence for limit, sentence in _VERDICTS if ratio <= limit)


def _rows(summary: dict[str, Any], log: list[dict[str, Any]]) -> list[tuple[str, Any, str]]:
    return [
        (
            "Sliced W1, generated against held-out",
            summary["sliced_w1"],
            "model units; averaged generator, last step",
        ),
        ("Floor: training against held-out", summary["sliced_w1_floor"], "what the data themselves score"),
        (
            "Best sliced W1 of the run",
            summary["best_sliced_w1"],
            f"at step {summary['best_step']}; not the final one",
        ),
        *_bounds(log),
        ("Critic gap, held-out", summary["critic_gap_heldout"], "score units; no distance"),
        ("Critic slope, mean and largest seen", summary["slope_mean"], f"largest {summary['slope_max']:.4g}"),
        ("Generator steps", summary["steps"], f"{len(log)} ticks logged"),
        ("Training time", summary["seconds"], f"seconds; {summary['steps_per_second']:.4g} steps per second"),
    ]


def _bounds(log: list[dict[str, Any]]) -> list[tuple[str, Any, str]]:
    """The last interval that was logged, if any."""
    last = next((record for record in reversed(log) if "w1_lower" in record), None)
    if last is None:
        return []
    return [
        ("W1 of the samples, lower bound", last["w1_lower"], f"certain; model units; step {last['step']}"),
        ("W1 of the samples, upper bound", last["w1_upper"], "certain; above W1 of the laws, as all samples are"),
        ("Its floor: training against held-out", last["w1_floor"], "as many samples; upper bound"),
    ]


def _embedded(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")
