"""One self-contained page from a run folder; it opens from disk and loads nothing from the network."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from wassergan.errors import UserError, typed
from wassergan.evaluation.verdict import FAILED, UNDECIDED, tick_verdict
from wassergan.report.assets import asset, template
from wassergan.report.charts import LIKELIHOOD, charts_of, critic_rested
from wassergan.storage.corruption import corruption_errors
from wassergan.storage.files import LARGEST_TEXT, content_of, read_bytes, read_text, write_text
from wassergan.storage.tick_distance import UNITS, distance_name, distance_of

PLOTTING_SCRIPT = "plotly-basic.min.js"  # Plotly's bundle of lines and bars; its licence lies beside it
MOST_GRIDS, GRID_BYTES = 48, 2 * 2**20  # of the sample grids over training that the page holds
LARGEST_GRID_BYTES = 32 * 2**20
LARGEST_JSON_BYTES = LARGEST_TEXT
_PNG = b"\x89PNG\r\n\x1a\n"
_ARROWS = {"lower": "lower is better", "higher": "higher is better", "near_floor": "near the floor is best"}


def write_report(
    summary: Mapping[str, Any],
    log: Sequence[dict[str, Any]],
    folder: Path,
    path: Path,
    *,
    evaluated: Path | None = None,
) -> None:
    """Write the page of a run.

    Args:
        summary: of the run, as `run_summary` gives it.
        log: its ticks.
        folder: of the run, with `samples/` and, if there are any, `metrics.json` and `environment.json`.
        path: the HTML file.
        evaluated: the folder with `metrics.json` and its pictures; the run's own unless given.

    Raises:
        UserError: the run has no tick yet, or a JSON file in it is damaged.
        WorkError: the file system refuses.
    """
    if not log:
        raise UserError(f"The run {folder} has no tick to report", hint="train it for some steps first")
    with corruption_errors(
        f"The run {folder}", "remove the damaged file of log.jsonl, metrics.json and environment.json"
    ):
        try:
            page = _page(summary, log, folder, evaluated or folder)
        except jinja2.TemplateError as error:
            raise ValueError(str(error)) from error
    write_text(path, page)


def _page(summary: Mapping[str, Any], log: Sequence[dict[str, Any]], folder: Path, evaluated: Path) -> str:
    metrics = _json(evaluated / "metrics.json")
    charts, grids = charts_of(log), _grids(folder / "samples")
    return _template().render(
        summary=summary,
        settings={name: value for name, value in summary["settings"].items() if value is not None},
        environment=_json(folder / "environment.json"),
        verdict=_verdict(metrics, summary),
        rows=_rows(summary, log),
        grids=grids,
        other_grids=[*grids[:-1], *({"step": each["step"]} for each in grids[-1:])],  # the last is the image
        charts=charts,
        charts_json=[chart.to_dict() for chart in charts],
        metrics=metrics,
        copies=_copies(metrics, evaluated),
        of_table=bool(metrics) and "independent" in metrics["protocol"],
        marginals=_picture(evaluated, (metrics or {}).get("pictures", {}).get("marginals")),
        pairs=_pairs(metrics, evaluated),
        figures=_figures(metrics, evaluated),
        arrows=_ARROWS,
        shown=_shown,
        typed=typed,
        plotly=asset(PLOTTING_SCRIPT),
        style=asset("page.css"),
        script=asset("page.js"),
    )


def _verdict(metrics: Any, summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """The verdict of the evaluation; before there is one, that of the ticks."""
    if not metrics:
        return tick_verdict(summary, run=summary["run"]).as_dict()
    found = metrics["verdict"]
    # Evaluations of earlier releases have no level.
    return {"level": FAILED if found["flags"] else UNDECIDED, **found}


def _template() -> jinja2.Template:
    return template("page.html")


def _json(path: Path) -> Any:
    """The content of a file of the run; None if it was not written."""
    path = content_of(path)
    if not path.exists():
        return None
    if not path.is_file() or path.stat().st_size > LARGEST_JSON_BYTES:
        raise UserError(f"{path} is no JSON that a run writes", hint="remove it, and write it anew")
    try:
        found = json.loads(read_text(path, follow=False))
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}, not an object")
        return found
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON", found=str(error), hint="remove it, and write it anew") from error


def _rows(summary: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any, str]]:
    label, value, floor = distance_of(summary)
    name = distance_name(summary)
    return [
        (f"{label}, generated against held-out", value, f"{UNITS[name]}; averaged generator, last step"),
        ("Floor: training against held-out", floor, "what the data themselves score"),
        (
            f"Best {label[0].lower()}{label[1:]} of the run",
            summary.get(f"best_{name}"),
            f"at step {summary['best_step']}; not the final one",
        ),
        *_bounds(log),
        *_likelihoods(log),
        *_critic(summary, log),
        ("Generator steps", summary["steps"], f"{len(log)} ticks logged"),
        ("Training time", summary["seconds"], f"seconds; {summary['steps_per_second']:.4g} steps per second"),
    ]


def _likelihoods(log: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any, str]]:
    """Those of the last tick that followed one, if any."""
    last: Mapping[str, Any] = next((record for record in reversed(log) if LIKELIHOOD in record), {})
    sides = ((LIKELIHOOD, "training"), (f"{LIKELIHOOD}_heldout", "held-out"))
    return [
        (f"Negative log-likelihood, {side} samples", last[name], f"nats a sample; step {last['step']}")
        for name, side in sides
        if name in last
    ]


def _critic(summary: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any, str]]:
    """What the critic has to tell, unless it rested."""
    if critic_rested(log):
        return []
    return [
        ("Critic gap, held-out", summary["critic_gap_heldout"], "score units; no distance"),
        (
            "Critic's gradient norm, mean and largest seen",
            summary["gradient_norm_mean"],
            f"largest {summary['gradient_norm_max']:.4g}",
        ),
    ]


def _bounds(log: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any, str]]:
    """The last interval that was logged, if any."""
    last = next((record for record in reversed(log) if "w1_lower" in record), None)
    if last is None:
        return []
    return [
        ("W1 of the samples, lower bound", last["w1_lower"], f"certain; model units; step {last['step']}"),
        (
            "W1 of the samples, upper bound",
            last["w1_upper"],
            "certain; above W1 of the distributions, as all samples are",
        ),
        ("Its floor: training against held-out", last["w1_floor"], "as many samples; upper bound"),
    ]


def _grids(folder: Path) -> list[dict[str, Any]]:
    """Sample grids over training, the first and the last among them, as many as the page has room for."""
    named = (path for path in folder.glob("step-*.png") if path.stem.removeprefix("step-").isdecimal())
    paths = sorted(path for path in named if path.is_file() and path.stat().st_size <= LARGEST_GRID_BYTES)
    size = sum(path.stat().st_size for path in paths)
    room = min(MOST_GRIDS, len(paths), max(2, int(len(paths) * GRID_BYTES / max(1, size))))
    found = [(path, _embedded(path)) for path in _evenly(paths, room)]
    return [{"step": _step(path), "picture": picture} for path, picture in found if picture]


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _evenly(paths: list[Path], count: int) -> list[Path]:
    """So many of them, in order, from the first to the last."""
    if len(paths) <= count:
        return paths
    return [paths[round(index * (len(paths) - 1) / (count - 1))] for index in range(count)]


def _copies(metrics: Any, folder: Path) -> str | None:
    """The picture of the generated samples that lie closest to training samples."""
    return _picture(folder, (metrics or {}).get("memorisation", {}).get("picture"))


def _pairs(metrics: Any, folder: Path) -> list[dict[str, Any]]:
    """Pairs of a table's columns that have a figure, each with its figure."""
    pairs = [pair | {"embedded": _picture(folder, pair["picture"])} for pair in (metrics or {}).get("pairs", ())]
    return [pair for pair in pairs if pair["embedded"]]


def _figures(metrics: Any, folder: Path) -> list[dict[str, Any]]:
    """Figures of a class of data, each with its caption."""
    figures = [
        figure | {"embedded": _picture(folder, figure["picture"])} for figure in (metrics or {}).get("figures", ())
    ]
    return [figure for figure in figures if figure["embedded"]]


def _picture(folder: Path, name: str | None) -> str | None:
    """A picture of the run folder, if there is one."""
    if not name:
        return None
    path = folder / str(name)
    # A run folder may be untrusted: no other file of this machine may get onto a page that is passed on.
    inside = path.resolve().is_relative_to(folder.resolve()) and path.suffix == ".png"
    held = content_of(path)
    return _embedded(held) if inside and held.exists() else None


def _embedded(picture: Path) -> str | None:
    """A picture of the run; None for a file that is not a picture, whatever its name."""
    content = read_bytes(picture, follow=False)
    if not content.startswith(_PNG):
        return None
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
