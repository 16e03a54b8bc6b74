"""What `WassersteinGAN.evaluate` gives back: every metric beside its floor, and a verdict in words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wassergan.config.verbs import EvaluateSettings
from wassergan.data import Source
from wassergan.errors import UserError, one_line, parameter
from wassergan.evaluation.evaluate import LARGEST, LEAST
from wassergan.evaluation.metric_table import aligned, html_sentence, html_table, metric_cells
from wassergan.modality import modality_of
from wassergan.modality.judged import judged
from wassergan.sampling.sampler import Sampler
from wassergan.session.build import choose_device
from wassergan.storage.files import scratch_folder


@dataclass(frozen=True, repr=False)
class FitEvaluation:
    """The result of `WassersteinGAN.evaluate`; a notebook shows it as a table.

    Attributes:
        metrics: a mapping for each metric: name, label, value, error, floor, `better` and more, in plain types.
        verdict: in a sentence.
        level: `good`, `doubtful`, `failed` or `undecided`.
        flags: what is wrong: of `memorised`, `collapsed`, `disjoint`, `exposed` and `far`, those that apply.
        memorisation: what was found of near copies.
        on_own_rows: the rows were those of the fit: its held-out ones were compared with, and copies of its training
            ones looked for; else the floors are those of two halves of the rows.
        result: everything, as `metrics.json` of a run holds it.
    """

    metrics: tuple[Mapping[str, Any], ...]
    verdict: str
    level: str
    flags: tuple[str, ...]
    memorisation: Mapping[str, Any]
    on_own_rows: bool
    result: Mapping[str, Any]

    def __getitem__(self, name: str) -> float:
        """The value of a metric by its name."""
        for row in self.metrics:
            if row["name"] == name:
                value: float = row["value"]
                return value
        raise KeyError(f"{name!r}; there are {', '.join(row['name'] for row in self.metrics)}")

    def __repr__(self) -> str:
        return "\n".join([*aligned(metric_cells(self.result)), "", *map(one_line, (self.verdict, self.protocol))])

    @property
    def protocol(self) -> str:
        """What was compared with what, in a sentence."""
        found = self.result["protocol"]
        real = f"{found['heldout']} held-out rows" if self.on_own_rows else f"{found['heldout']} of the rows"
        others = "training rows" if self.on_own_rows else "other ones of the rows"
        return f"{found['generated']} generated against {real}; floors from {found['training']} {others}."

    def _repr_html_(self) -> str:
        sentences = [html_sentence(self.verdict, level=self.level), html_sentence(self.protocol)]
        return f"<div>{sentences[0]}{html_table(metric_cells(self.result))}{sentences[1]}</div>"


def evaluated(sampler: Sampler, source: Source, settings: EvaluateSettings, *, own: bool) -> FitEvaluation:
    """Judge the samples of a fit.

    Args:
        sampler: of the fit.
        source: real rows, split in two.
        settings: count, features, target, seed and device.
        own: the rows are those of the fit.

    Raises:
        UserError: too few rows, or settings that are for other data.
    """
    if len(source) < 2 * LEAST:  # one half stands for the training samples
        raise UserError(f"Judging needs {2 * LEAST} rows", found=f"{len(source)}", hint="evaluate it with more rows")
    count = settings.count or min(LARGEST, len(source))
    modality, device = modality_of(source.kind), choose_device(settings.device)
    with scratch_folder() as folder:
        asked = replace(settings, count=count)
        result = judged(asked, sampler, source, modality=modality, device=device, folder=folder)
    result["memorisation"]["picture"] = None  # the pictures are gone with the folder
    result.pop("pictures", None)
    found = result["verdict"]
    flags = tuple(found["flags"])
    return FitEvaluation(
        metrics=tuple(result["metrics"]),
        verdict=_sentence(found["sentence"], flags, own=own),
        level=found["level"],
        flags=flags,
        memorisation=result["memorisation"],
        on_own_rows=own,
        result=result,
    )


def _sentence(text: str, flags: tuple[str, ...], *, own: bool) -> str:
    """A run's verdict in the words of an estimator: it is given rows, not paths."""
    text = text.replace(f"name more data with {parameter('against')}", "evaluate it with more rows")
    return (
        f"{text} (Training samples are here one half of the given rows.)" if "memorised" in flags and not own else text
    )
