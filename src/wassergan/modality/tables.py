"""Tables: rows of columns of any kind."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wassergan.config.settings import TrainSettings
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import (
    TABLE_SUFFIXES,
    AnyCodec,
    AnyConditions,
    ArrayConditions,
    Container,
    Schema,
    Source,
    TableCodec,
    column_facts,
    encode_table,
    frame_beside,
    is_frame,
    proposed_rules,
    read_frame,
    read_rows,
    table_suffix,
    write_table,
)
from wassergan.data.table_files import read_weighted_rows
from wassergan.data.tables import rows_like
from wassergan.data.tables.encodings import CategoryCoding
from wassergan.data.tables.hidden import CompletionConditions, nothing_given, width_of
from wassergan.data.tables.source import TableReader
from wassergan.data.tables.writing import Fresh
from wassergan.errors import UserError, parameter
from wassergan.modality import described_tables
from wassergan.modality.evaluator import Evaluation, Evaluator
from wassergan.modality.modality import AnyMargins, Modality, Rows
from wassergan.modality.numbers import prepare_picture
from wassergan.networks import KeptCells, TableHead, TabularGenerator
from wassergan.networks.density_head import BINS
from wassergan.sampling.calibration import calibrate_marginals
from wassergan.sampling.given import GivenSamples
from wassergan.sampling.margins import Margins
from wassergan.sampling.sampler import Sampler
from wassergan.sampling.writers import Draw, write_rows
from wassergan.storage.files import make_folder, require_writable

LEAST_FOR_LARGE_BATCHES = 2000
LEAST_LATENT, MOST_LATENT = 8, 64  # a number for two channels; with more, sharp relations come out blurred
LARGEST_COUNT = 2**53
EPOCHS_OF_CATEGORIES = 10  # that follow the likelihood alone; with more, that of held-out rows gains little
EPOCHS_OF_NUMBERS = 120  # the same where at least half of the columns are numbers, which are learnt for longer
CALM_EPOCHS, CALM_STEPS = 20, 1000  # from the later of the two on rates fall there, lest rows are learnt by heart
SEQUENCE = 128  # numbers of the state that carries drawn columns to the next ones
WIDE = 4096  # in longer rows that state's weights would outnumber all others
MOST_DECIMALS = 400  # float64 has no more
PAIRS = 6  # of columns that are drawn


class Tables(Modality[TableCodec]):
    """Rows of a file or a DataFrame."""

    name = "table"
    noun = "Rows of a table"
    codec = TableCodec
    axes = 1
    is_refitted = True
    is_independent_of_count = True
    usual_file = "samples.csv"
    usual_draw = (1000, "rows.csv")
    piped = ("csv", "csv.gz", "tsv", "tsv.gz")
    is_text = True
    preview_count = 2000
    is_figure = True

    def fault(self, codec: TableCodec, shape: tuple[int, ...]) -> str:
        """Another width than the sample's; columns without their levels, numbers with decimals that do not exist."""
        if (codec.width,) != shape:
            return f"columns of {codec.width} numbers in rows of {shape}"
        return columns_fault(codec)

    def head(self, codec: TableCodec) -> nn.Module:
        """Draws the options of every column."""
        if not codec.known:
            return TableHead(codec.column_layouts)
        given = width_of(TableCodec(codec.known))
        return TableHead(codec.column_layouts, kept=KeptCells(codec.kept_entries, given=given))

    def recipe(
        self, codec: TableCodec, *, shape: tuple[int, ...], train_count: int, asked: TrainSettings
    ) -> Mapping[str, Any]:
        """Our own."""
        layouts = codec.column_layouts
        numbers = sum(bool(layout.channel) for layout in layouts)
        values = recipe(
            train_count, channels=sum(layout.channel for layout in layouts), columns=len(layouts), width=shape[0]
        )
        is_narrow = shape[0] + BINS * numbers <= WIDE
        usual = float(is_narrow and train_count >= LEAST_FOR_LARGE_BATCHES)
        usual = 0.0 if asked.sequence_width == 0 else usual
        if not (usual if asked.likelihood is None else asked.likelihood):
            return values
        batch = asked.batch_size or values["batch_size"]
        values |= {"likelihood": usual, "sequence_width": SEQUENCE}
        if 2 * numbers < len(layouts):
            return {**values, "likelihood_steps": EPOCHS_OF_CATEGORIES * train_count // batch}
        calm = max(CALM_STEPS, CALM_EPOCHS * train_count // batch)
        return {**values, "likelihood_steps": EPOCHS_OF_NUMBERS * train_count // batch, "schedule_steps": calm}

    def calibrate(
        self, generator: nn.Module, codec: TableCodec, *, latent_dim: int, conditions: AnyConditions | None = None
    ) -> None:
        """The shares of options, and how numbers spread."""
        if isinstance(generator, TabularGenerator):
            assert not isinstance(conditions, ArrayConditions)  # those of tables are columns
            calibrate_marginals(generator, codec, latent_dim=latent_dim, conditions=conditions)

    def margins(self, codec: TableCodec, samples: Tensor) -> AnyMargins:
        """Of columns."""
        return Margins.fit(codec.column_layouts, samples)

    def margins_of(self, codec: TableCodec, state: Mapping[str, Any], *, numbers: int) -> AnyMargins:
        """Of columns."""
        return Margins.from_state(codec.column_layouts, state)

    def encode(
        self,
        data: Any,
        labels: NDArray[Any] | None,
        codec: TableCodec,
        conditions: AnyConditions | None,
        shape: tuple[int, ...],
    ) -> tuple[Tensor, Tensor | None]:
        """A DataFrame, with its conditions among its columns."""
        if not is_frame(data):
            raise UserError("A DataFrame was fitted", found="an array", hint="give a DataFrame with its columns")
        assert not isinstance(conditions, ArrayConditions)  # those of tables are columns
        table = read_frame(data if labels is None else frame_beside(data, labels))
        if isinstance(conditions, CompletionConditions):
            return encode_table(codec, table), nothing_given(conditions.codec, table.rows)
        return encode_table(codec, table), encode_table(conditions.codec, table) if conditions else None

    def facts(self, source: Source) -> dict[str, Any]:
        """What is in the columns, and rules that hold and are not asked for."""
        codec, reader = self.own(source.codec), source.reader
        assert isinstance(reader, TableReader)
        rows = reader.rows
        proposed = proposed_rules(codec, rows) if isinstance(rows, np.ndarray) else []  # they need all columns at once
        return {"table": column_facts(codec, rows), **({"proposed_rules": proposed} if proposed else {})}

    def restore(
        self,
        samples: Rows,
        codec: TableCodec,
        container: Container,
        *,
        without: tuple[str, ...] = (),
        identifiers: Fresh | None = None,
    ) -> Any:
        """A DataFrame, or an Arrow table."""
        return container.rows(samples, codec, without=without, identifiers=identifiers)

    def prepare(self, path: Path, count: int) -> None:
        """A file of rows, or a figure as `.png`."""
        if not table_suffix(path) and path.suffix != ".png":
            raise UserError(
                f"{self.noun} are written as {', '.join(TABLE_SUFFIXES)} or .png",
                found=f"'{path.name}'",
                hint="choose one of those suffixes",
            )
        if path.suffix == ".png":
            prepare_picture(path, count)
            return
        make_folder(path.parent)
        require_writable(path)

    def write(self, draw: Draw, path: Path) -> None:
        """All rows by process 0."""
        codec = self.own(draw.sampler.codec)
        if table_suffix(path):
            draw.processes.on_rank_zero(lambda: write_rows(draw, path, codec))
            return
        draw.processes.on_rank_zero(lambda: self.save_picture(draw.whole(), path, codec))
        draw.progress(draw.count)

    def pipe(self, draw: Draw, chunks: Iterator[Rows], file: IO[bytes], *, form: str) -> None:
        """Lines of text."""
        codec = self.own(draw.sampler.codec)
        write_table(codec, chunks, file, like=Path(f"rows.{form}"), seed=draw.seed, formulas=draw.formulas)

    def save_picture(
        self, samples: Rows, path: Path, codec: TableCodec, *, real: Rows | None = None, columns: int | None = None
    ) -> None:
        """The marginals of the columns, beside those of real rows."""
        from wassergan.plots import save_figure, table_figure

        names = {column.name: column.names for column in codec.columns}
        dates = {column.name: column.form.texts for column in codec.columns if column.kind == "date"}
        save_figure(table_figure(names, samples, real, dates=dates), path)

    def require_askable(self, settings: EvaluateSettings) -> None:
        """Features are the columns themselves; a sheet is one of other data."""
        if settings.features != EvaluateSettings().features:
            raise UserError(
                "Tables are judged on their own columns",
                found=parameter("features", settings.features),
                hint="leave it out",
            )
        if settings.sheet is not None and settings.against is None:
            raise UserError(
                f"{parameter('sheet')} is for a workbook given to {parameter('against')}",
                hint=f"give one, or leave {parameter('sheet')} out",
            )

    def others(
        self,
        path: str,
        source: Source,
        opened: Callable[[], Source],
        *,
        sheet: str | None,
        schema: str | None,
        weight: str | None,
        log: Callable[[str], None],
    ) -> tuple[Rows, Rows | None]:
        """Rows in the columns and numbers of the run, levels that it does not know last; and their weights."""
        codec = self.own(source.codec)
        if weight is None:
            return read_rows(path, codec, sheet=sheet, schema=schema, log=log), None
        return read_weighted_rows(path, codec, weight=weight, sheet=sheet, schema=schema, log=log)

    def given(self, source: Source, others: tuple[Rows, Rows | None]) -> GivenSamples:
        """Rows exactly as they are: the coding of numbers would blur them."""
        rows, codec = others[0], self.own(source.codec)

        def read(positions: Tensor) -> Rows:
            chosen: Rows = rows[positions.numpy()]
            return chosen

        return GivenSamples(
            *(nn.Identity(), 0, codec, source.kind),
            held=len(rows),
            encoded=lambda positions: codec.encode(torch.from_numpy(read(positions))),
            rows=read,
        )

    def recoded(
        self, source: Source, data: Any, codec: AnyCodec, shape: tuple[int, ...], *, schema: Schema | None
    ) -> Source:
        """Rows in the columns and numbers of the fit, levels that it does not know last."""
        if source.kind != self.name:
            raise UserError("The estimator was fitted to a table", found="an array", hint="give a DataFrame")
        rows = rows_like(self.own(codec), read_frame(data), schema)
        return replace(source, reader=TableReader(rows), codec=codec, shape=shape, context=None)

    def evaluator(self, evaluation: Evaluation) -> Evaluator:
        """On their own columns, beside two anchors."""
        from wassergan.modality.row_evaluator import RowEvaluator

        return RowEvaluator(evaluation, self.own(evaluation.source.codec))

    def heldout_samples(self, source: Source, count: int) -> Rows:
        """With the conditions."""
        return source.values(source.split.heldout[source.heldout_positions(count)]).numpy()

    def training_samples(self, source: Source, count: int) -> Rows:
        """With the conditions."""
        return source.values(source.split.train_rows(source.train_positions(count))).numpy()

    def visualize(self, sampler: Sampler, source: Source | None, out: Path, *, count: int, seed: int) -> list[Path]:
        """Marginals, and the pairs that have most to do with each other or are most off."""
        from wassergan.evaluation.tables import Bins, associations, columns_of, telling_pairs
        from wassergan.evaluation.tables.pairs import MOST_COLUMNS
        from wassergan.plots import PairColumn, save_figure, table_pairs_figure

        samples = sampler.draw(count, seed=seed)
        real = None if source is None else self.heldout_samples(source, count)
        columns = columns_of(self.own(sampler.codec))
        names = [PairColumn(column.name, column.levels, column.texts) for column in columns]
        self.save_picture(samples, out / "marginals.png", self.own(sampler.codec), real=real)
        shown = min(len(columns), MOST_COLUMNS)
        if shown == 1:
            return [out / "marginals.png"]
        distributions = [samples[:, :shown], (samples if real is None else real)[:, :shown]]
        bins = Bins.fit(columns[:shown], distributions[1])
        pairs = telling_pairs(associations(bins, distributions[1]), associations(bins, distributions[0]), count=PAIRS)
        save_figure(table_pairs_figure(names, pairs, samples, real), out / "pairs.png")
        return [out / "marginals.png", out / "pairs.png"]

    def decoder(self, codec: TableCodec) -> dict[str, Any]:
        """All that a checkpoint keeps of the codec, and where each column stands in a sample."""
        return described_tables.decoder_of(codec)

    def usage(self, codec: TableCodec, *, latent_dim: int, shape: tuple[int, ...]) -> list[str]:
        """Options, numbers, levels and rules."""
        return described_tables.usage_of(codec, latent_dim=latent_dim)

    def codec_of(self, decoder: Mapping[str, Any]) -> TableCodec:
        """The inverse of `decoder`."""
        return described_tables.codec_of(decoder)


def columns_fault(codec: TableCodec) -> str:
    """What columns from a file hold that no table has: levels that are not there, decimals that do not exist."""
    for coding in (*codec.codings, *(column.coding for column in codec.columns)):
        if isinstance(coding, CategoryCoding):
            there = len(coding.frequent) + len(coding.bounds)
            if not _is_count(coding.levels) or coding.levels > max(there, 1):
                return f"{there} of {coding.levels!r} levels of a column"
    for column in codec.columns:
        for name in ("decimals", "places"):
            digits = getattr(column.form, name, 0) or 0
            if not isinstance(digits, int) or not abs(digits) <= MOST_DECIMALS:
                return f"numbers of {digits!r} {name}"
    return ""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def recipe(count: int, *, channels: int, columns: int, width: int) -> dict[str, Any]:
    """Our own for tables, from the measurements in docs/lab-notes.md.

    With Adam's usual β₂ = 0.9 margins drift away from the data for as long as a run lasts; with 0.99 they do not. A
    critic wider than the generator sees sharper relations, at equal time. Categories that follow each other go together
    better than those that only share a latent vector; numbers do not, so tables of numbers draw all columns at once.

    Args:
        count: of training rows.
        channels: numbers that are told by their place between quantiles.
        columns: of the table, as they are encoded.
        width: numbers in an encoded row.
    """
    return {
        "network": "residual",
        "constraint": "lp",
        "penalty_weight": 10.0,
        "penalty_every": 2,
        "latent_dim": min(max(LEAST_LATENT, channels // 2), MOST_LATENT),
        "generator_widths": (256, 256, 256),
        "sequence_width": 0 if 2 * channels >= columns else SEQUENCE if width <= WIDE else SEQUENCE // 4,
        "critic_widths": (384, 384, 384),
        "activation": "silu",
        "generator_norm": "layer",
        "batch_size": 250 if count >= LEAST_FOR_LARGE_BATCHES else 64,
        "critic_steps": 1,
        "generator_lr": 1e-3,
        "critic_lr": 1e-3,
        "beta2": 0.99,
        "schedule": "inverse_sqrt",
        "schedule_steps": 3000,
        "average_half_life": 2_000_000.0,
        "average_ramp": 0.1,
    }
