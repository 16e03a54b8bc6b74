"""A fitted estimator for the eye: its figure, its page, and what notebooks show of it."""

import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wassergan.errors import printable
from wassergan.estimator.evaluation import FitEvaluation
from wassergan.estimator.state import FitState
from wassergan.evaluation.metric_table import html_sentence, html_table
from wassergan.modality import modality_of
from wassergan.sampling.sampler import Sampler
from wassergan.session.state import CheckpointState
from wassergan.storage.files import as_path, make_folder, read_text, reading, scratch_folder, write_text
from wassergan.storage.run_folder import require_output
from wassergan.storage.tick_distance import distance_name, distance_of

PAGE_HEIGHT = 720  # pixels of a page in a notebook


def figure_of(fitted: FitState, sampler: Sampler, *, count: int | None, seed: int, real: NDArray[Any] | None) -> Any:
    """Samples beside the course of the training: a figure of matplotlib that notebooks show.

    Args:
        fitted: gives the ticks.
        sampler: to draw from.
        count: of samples; as many as a run's preview has unless given.
        seed: of the samples.
        real: rows to draw beside them, in the units of the codec.
    """
    from PIL import Image

    from wassergan.plots import fit_figure

    modality = modality_of(sampler.kind)
    samples = sampler.draw(count or modality.preview_count, seed=seed)
    with scratch_folder() as folder:
        path = folder / "samples.png"
        modality.save_picture(samples, path, modality.own(sampler.codec), real=real)
        with reading(path) as file, Image.open(file) as picture:
            picture.load()
    title = f"{len(samples)} samples after {fitted.step} steps"
    return fit_figure(picture, fitted.course.records, title=title)


@dataclass(frozen=True, repr=False)
class FitReport:
    """The page of a fit, self-contained; a notebook shows it inline.

    Attributes:
        html: the whole page.
        path: where it was written; None where it was not.
    """

    html: str
    path: Path | None = None

    def write_to(self, path: str | Path) -> Path:
        """Write the page into a file; returns the path.

        Raises:
            UserError: no file can be there.
            WorkError: the file system refuses.
        """
        target = require_output(as_path(path))
        write_text(target, self.html)
        return target

    def __repr__(self) -> str:
        where = f", written to {self.path}" if self.path else "; write_to(path) keeps it"
        return f"FitReport({len(self.html.encode()) / 1e6:.1f} MB{where})"

    def _repr_html_(self) -> str:
        # In a frame of its own: neither the page's style nor its script reaches the notebook.
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts" '
            f'style="width: 100%; height: {PAGE_HEIGHT}px; border: 1px solid #8884"></iframe>'
        )


def report_of(
    fitted: FitState, sampler: Sampler, *, seed: int, real: NDArray[Any] | None, result: Mapping[str, Any] | None
) -> FitReport:
    """The page that a run with these ticks would have.

    Args:
        fitted: gives settings and ticks.
        sampler: to draw from.
        seed: of the samples.
        real: rows to draw beside them.
        result: of an evaluation, without pictures.

    Raises:
        UserError: there is no tick to report.
    """
    from wassergan.report import write_report

    modality, records = modality_of(sampler.kind), [dict(record) for record in fitted.course.records]
    with scratch_folder() as folder:
        make_folder(folder / "samples")
        samples = sampler.draw(modality.preview_count, seed=seed)
        grid = folder / "samples" / f"step-{fitted.step:09d}.png"
        modality.save_picture(samples, grid, modality.own(sampler.codec), real=real)
        if result is not None:
            write_text(folder / "metrics.json", json.dumps(result))
        write_report(summary_of(fitted), records, folder, folder / "report.html")
        return FitReport(read_text(folder / "report.html", at_most=2**27))


def page_result(evaluation: FitEvaluation, fitted: FitState) -> dict[str, Any]:
    """An evaluation as the page of a run reads it."""
    protocol = {
        "step": fitted.step,
        "checkpoint": "latest",
        "weights": "average",
        "refine": None,
        "against": None,
        **evaluation.result["protocol"],
    }
    return {**evaluation.result, "protocol": protocol, "pairs": []}


def summary_of(fitted: FitState) -> dict[str, Any]:
    """What `run_summary` says of a run."""
    state, records, best = fitted.checkpoint, fitted.course.records, fitted.course.history.best
    settings = asdict(state.settings)
    last = records[-1] if records else {}
    return {
        "run": "WassersteinGAN",
        "data": settings["data"],
        "kind": state.kind,
        **{name: settings[name] for name in ("preset", "constraint", "network")},
        "steps": fitted.step,
        "seconds": state.seconds,
        **{name: value for name, value in last.items() if name not in ("step", "seconds", "rollbacks")},
        f"best_{best.metric}": best.distance,
        "best_step": best.step,
        "rollbacks": [],
        "notes": list(state.notes),
        "settings": settings,
    }


def learnt_html(fitted: FitState) -> str:
    """What was learnt, as a table for a notebook; all text that comes from the data is escaped."""
    state, records = fitted.checkpoint, fitted.course.records
    settings = state.settings
    rows = [
        ("learnt", ""),
        ("data", learnt_in_words(state)),
        ("steps", f"{fitted.step}, {state.seconds:.1f} s of training"),
        ("recipe", f"{settings.preset}; constraint {settings.constraint}; {settings.network or 'own networks'}"),
    ]
    if records and distance_name(records[-1]) in records[-1]:
        label, value, floor = distance_of(records[-1])
        rows.append((label, f"{value:.4g}; {floor:.4g} between real rows"))
    notes = "".join(html_sentence(note) for note in state.notes[:3])
    return f"<div>{html_table(rows)}{notes}</div>"


def learnt_in_words(state: CheckpointState) -> str:
    """The modality, and the columns or the shape."""
    codec, modality = state.codec, modality_of(state.kind)
    columns = [each.name for each in getattr(codec, "columns", ())]
    if columns:
        shown = ", ".join(columns[:8]) + (f" and {len(columns) - 8} more" if len(columns) > 8 else "")
        return f"{modality.name}: {printable(shown)}"
    return f"{modality.name}s of shape {'x'.join(map(str, state.shape))}, {codec.dtype}"
