"""From a run on a table to a judgement of its generator: metrics beside two anchors, near copies, pictures, verdict."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan import __version__
from wassergan.config.data import absolute
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import Source, TableCodec, random_positions, read_rows
from wassergan.errors import UserError
from wassergan.evaluation.evaluate import LARGEST as LARGEST_VECTORS
from wassergan.evaluation.memorisation import Memorisation, memorisation
from wassergan.evaluation.tables import (
    Case,
    Judgement,
    Samples,
    TableColumn,
    TableRow,
    Target,
    columns_of,
    default_target,
    independent,
    judge_table,
    known,
    target_named,
    telling_pairs,
)
from wassergan.evaluation.verdict import verdict
from wassergan.plots import PairColumn, save_figure, table_figure, table_pairs_figure
from wassergan.runs.results import Results
from wassergan.sampling.sampler import Sampler
from wassergan.session.build import open_data
from wassergan.session.fingerprint import require_same_data
from wassergan.session.restore import sampler_of
from wassergan.session.state import CheckpointState

LARGEST = 20_000  # rows of each sample
LARGEST_TRAINING_NUMBERS = 45_000_000  # of training vectors that generated ones are looked up in: 180 MB
PAIRS_SHOWN = 6
PRIVACY = (
    "This finds copies: it compares how far generated rows are from the closest training row with how far held-out "
    "rows are, and counts rows that equal a training row which is the only one of its kind. It is no guarantee of "
    "privacy: what a generator gives away of single rows is not bounded by it."
)
Rows = NDArray[np.float64]
Told = Callable[[str], None]


@dataclass(frozen=True)
class _Opened:
    """A run with its data."""

    settings: EvaluateSettings
    results: Results
    state: CheckpointState
    sampler: Sampler
    source: Source
    codec: TableCodec


def evaluate_table(
    settings: EvaluateSettings,
    state: CheckpointState,
    results: Results,
    *,
    told: Told,
    found: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Judge the averaged generator of a run on a table; writes `metrics.json`, pictures, and the run's page anew.

    Args:
        settings: as given by the user.
        state: of the checkpoint.
        results: where to keep what is found.
        found: told the result before it is written.
        told: in a few words, what is done next.

    Returns:
        What `metrics.json` holds.

    Raises:
        UserError: other data than the run's, too few rows, or a target that cannot be predicted.
        WorkError: a file could not be written.
    """
    started = time.perf_counter()
    opened = _open(settings, state, results, told)
    told("Rows of the generator")
    case = _case(opened, told)
    judgement = judge_table(case, seed=settings.seed, told=told)
    told("Near copies of training rows")
    positions = random_positions(max(1, LARGEST_TRAINING_NUMBERS // opened.codec.width), opened.source.train_count)
    training = _coded(opened.codec, case.columns, case.trained[positions.numpy()])
    memory = memorisation(case.generated.vectors, training, case.heldout.vectors)
    told("Pictures")
    pairs = telling_pairs(judgement.association_real, judgement.association_generated, count=PAIRS_SHOWN)
    result = {
        "protocol": _protocol(opened, case, judgement) | {"seconds": round(time.perf_counter() - started, 3)},
        "metrics": [asdict(row) for row in judgement.rows],
        "columns": [asdict(column) for column in judgement.columns],
        "pairs": _pairs(opened, case, judgement, pairs),
        "pictures": {"marginals": _marginals(opened, case)},
        "memorisation": _memory(memory, judgement, positions),
        "verdict": _verdict(judgement, memory, case.target),
    }
    found(result)
    results.keep(result)
    return result


def _open(settings: EvaluateSettings, state: CheckpointState, results: Results, told: Told) -> _Opened:
    if settings.features != EvaluateSettings().features:
        raise UserError(
            "Tables are judged on their own columns", found=f"--features {settings.features}", mend="leave it out"
        )
    trained = state.settings
    data = settings.data or trained.data
    if not data:
        raise UserError("The run was trained on a table in memory", mend="say where the data lie with --data")
    source = open_data(trained, data=data, report=told)
    source = require_same_data(source, state, data)
    sampler = sampler_of(state, device=settings.device)
    assert isinstance(sampler.codec, TableCodec)
    return _Opened(settings, results, state, sampler, source, sampler.codec)


def _case(opened: _Opened, told: Told) -> Case:
    settings, codec, source = opened.settings, opened.codec, opened.source
    columns = columns_of(codec)
    numbers = np.random.default_rng(settings.seed)
    trained = source.values(source.split.train_rows(torch.arange(source.train_count))).numpy()
    training = trained[numbers.permutation(len(trained))[:LARGEST]]
    heldout = _real_rows(opened)
    heldout = heldout[numbers.permutation(len(heldout))[:LARGEST]]
    generated = opened.sampler.draw(settings.count or min(LARGEST, len(trained)), seed=settings.seed)
    shuffled = independent(training, seed=settings.seed)
    made, real, held, apart = (
        Samples(rows, _coded(codec, columns, rows[:LARGEST_VECTORS]))
        for rows in (generated, training, heldout, shuffled)
    )
    case = Case(columns, made, real, held, apart, target=None, trained=trained)
    case.check()
    told("A column to predict")
    return replace(case, target=_target(settings, columns, training, heldout))


def _real_rows(opened: _Opened) -> Rows:
    """Held-out rows, or those of other data, read as the run's were."""
    if opened.settings.against is None:
        if opened.settings.sheet is not None:
            raise UserError("--sheet is for a workbook given to --against", mend="give one, or leave --sheet out")
        return opened.source.values(opened.source.split.heldout).numpy()
    trained = opened.state.settings
    sheet = opened.settings.sheet or trained.sheet
    return read_rows(opened.settings.against, opened.codec, sheet=sheet, schema=trained.schema)


def _coded(codec: TableCodec, columns: tuple[TableColumn, ...], rows: Rows) -> Tensor:
    return codec.encode(torch.from_numpy(known(columns, rows)))


def _target(
    settings: EvaluateSettings, columns: tuple[TableColumn, ...], training: Rows, heldout: Rows
) -> Target | None:
    if settings.target is not None:
        return target_named(columns, settings.target, training, heldout)
    return default_target(columns, training, heldout, seed=settings.seed)


def _protocol(opened: _Opened, case: Case, judgement: Judgement) -> dict[str, Any]:
    settings = opened.settings
    unseen = f"; without the conditions {', '.join(opened.codec.given)}" if opened.codec.given else ""
    how = "named by --target" if settings.target else "the last column that real rows predict"
    return {
        "kind": "table",
        "features": "columns",
        "feature_note": f"the vectors are the run's own coding: one-hots, and quantiles in [-1, 1]; "
        f"the first {LARGEST_VECTORS} rows at most{unseen}",
        "feature_dim": opened.codec.width,
        "columns": len(case.columns),
        "generated": len(case.generated.rows),
        "training": len(case.training.rows),
        "heldout": len(case.heldout.rows),
        "largest": LARGEST,
        "trained": len(case.trained),
        "target": case.target.name if case.target else None,
        "target_note": how if case.target else "no column that real rows predict",
        "independent": "training rows, every column shuffled by itself",
        "sdmetrics": judgement.quality,
        "seed": settings.seed,
        "checkpoint": settings.checkpoint,
        "step": opened.state.step,
        "weights": "average",
        "data": opened.source.name,
        "against": absolute(settings.against),
        "wassergan": __version__,
    }


def _marginals(opened: _Opened, case: Case) -> str:
    levels = {column.name: column.levels for column in case.columns}
    return _written(opened, table_figure(levels, case.generated.rows, case.heldout.rows), "marginals.png")


def _pairs(opened: _Opened, case: Case, judgement: Judgement, pairs: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Each pair with its association and its picture."""
    columns = [PairColumn(column.name, column.levels) for column in case.columns]
    found = []
    for number, (i, j) in enumerate(pairs, 1):
        figure = table_pairs_figure(columns, [(i, j)], case.generated.rows, case.heldout.rows)
        facts = {
            "columns": [columns[i].name, columns[j].name],
            "real": float(judgement.association_real[i, j]),
            "generated": float(judgement.association_generated[i, j]),
            "picture": _written(opened, figure, f"pair-{number}.png"),
        }
        found.append(facts)
    return found


def _written(opened: _Opened, figure: Any, name: str) -> str:
    """Have a figure drawn into the folder of the results; its path there."""
    return opened.results.picture(name, lambda path: save_figure(figure, path))


def _memory(memory: Memorisation, judgement: Judgement, positions: Tensor) -> dict[str, Any]:
    names = ("generated", "training", "distance")
    closest = [
        dict(zip(names, (sample, int(positions[row]), distance), strict=True))
        for sample, row, distance in memory.closest
    ]
    copies = _named(judgement, "exact_copies")
    return {
        **asdict(memory),
        "closest": closest,
        "exact_copies": copies.value,
        "exact_copies_heldout": copies.floor,
        "picture": None,
        "sentence": memory.sentence,
        "privacy": PRIVACY,
    }


def _verdict(judgement: Judgement, memory: Memorisation, target: Target | None) -> dict[str, Any]:
    found = verdict(judgement.rows, memory)
    sentence = found.sentence
    if target is not None:
        row = _named(judgement, "tstr")
        sentence += (
            f" Trees that learn from generated rows predict {target.name} with {target.score} {row.value:.3f}; "
            f"from real rows {row.floor:.3f}, from independent columns {row.independent:.3f}."
        )
    return replace(found, sentence=sentence).as_dict()


def _named(judgement: Judgement, name: str) -> TableRow:
    return next(row for row in judgement.rows if row.name == name)
