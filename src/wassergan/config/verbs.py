"""Settings of the verbs beside `train`: sample, evaluate, export, visualize."""

from dataclasses import dataclass

from wassergan.config.parsing import positive_int, whole_number
from wassergan.config.setting import setting


@dataclass(frozen=True)
class SampleSettings:
    """Settings of `sample`."""

    run: str = ""
    out: str | None = setting(
        None,
        "samples.png (tables: samples.csv) in the run folder unless given; .npy: array in the data's own units; "
        ".png: one grid; no suffix: a folder of pictures; tables: .csv, .csv.gz, .parquet or .feather; "
        "-: standard output.",
        group="Sampling",
        values="FILE|FOLDER|-",
    )
    format: str | None = setting(
        None,
        "Format of standard output: csv, csv.gz, tsv or tsv.gz for tables, npy for all else; the first unless given.",
        group="Sampling",
        values="csv|csv.gz|tsv|tsv.gz|npy",
    )
    count: int | None = setting(
        None,
        "Number of samples; by default that of rows of {given_rows}, or of draws under {condition_array} or "
        "{given_past}, else 64.",
        parse=positive_int,
        group="Sampling",
    )
    given: tuple[str, ...] | None = setting(
        None,
        "Conditions to draw samples under, such as sex=Female age=40; the others are drawn from rows that match these.",
        group="Sampling",
        values="NAME=VALUE...",
        several=True,
    )
    given_rows: str | None = setting(
        None, "Conditions from a table: one row for each sample, in turn.", group="Sampling", values="FILE"
    )
    condition_array: str | None = setting(
        None,
        "Conditions that are arrays, for runs that were trained with such: one or several draws for each row.",
        group="Sampling",
        values="FILE",
    )
    given_past: str | None = setting(
        None,
        "The first steps of series, from which samples go on: an array (series, steps, channels), or a table with one "
        "row for each step. What is written are the steps behind them.",
        group="Sampling",
        values="FILE",
    )
    draws: int | None = setting(
        None,
        "Draws for each row of {condition_array}, or for each past of {given_past}, written as (rows, K, ...); one, as "
        "(rows, ...), unless given. Fewer are the first of more.",
        parse=positive_int,
        group="Sampling",
        values="K",
    )
    seed: int = setting(
        0,
        "Seed of the samples; a smaller count gives the first samples of a larger one.",
        parse=whole_number,
        group="Sampling",
    )
    refine: int | None = setting(
        None,
        "Keep one of K draws, by a classifier that tells training samples from draws; it is trained at the first "
        "call, for which the run's data must be there, and kept in the run folder.",
        parse=positive_int,
        group="Sampling",
        values="K",
    )
    data: str | None = setting(
        None,
        "Where the run's data lie now, if {refine} needs them and they were moved.",
        group="Sampling",
        values="DATA",
    )
    safe_csv: bool = setting(
        False,
        "Put an apostrophe before cells of text that spreadsheet programs would run as a formula (CSV and TSV).",
        group="Sampling",
        flag=True,
    )
    checkpoint: str = setting("latest", "Which checkpoint to use.", group="Sampling", values="latest|best|STEP")
    device: str = setting("auto", "Device to draw on.", group="Sampling", values="auto|cpu|cuda|cuda:N|mps")


@dataclass(frozen=True)
class CompleteSettings:
    """Settings of `complete`."""

    run: str = ""
    table: str = ""
    out: str | None = setting(
        None,
        "The completed table, in the format of TABLE; TABLE-completed in the run folder unless given. Several draws go "
        "to FILE-1, FILE-2 and so on.",
        group="Completing",
        values="FILE",
    )
    draws: int | None = setting(
        None, "Complete the table so many times, each time anew.", parse=positive_int, group="Completing", values="K"
    )
    seed: int = setting(
        0, "Seed of what is filled in; fewer draws are the first of more.", parse=whole_number, group="Completing"
    )
    checkpoint: str = setting("latest", "Which checkpoint to use.", group="Completing", values="latest|best|STEP")
    device: str = setting("auto", "Device to draw on.", group="Completing", values="auto|cpu|cuda|cuda:N|mps")


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of `evaluate`."""

    run: str = ""
    against: str | None = setting(
        None,
        "Compare with these data instead of the run's held-out samples; anything that `train` reads.",
        group="Evaluation",
        values="DATA",
    )
    sheet: str | None = setting(
        None,
        "Sheet of an Excel workbook given to {against}; the one that the run was trained on unless given.",
        group="Evaluation",
        values="NAME",
    )
    count: int | None = setting(
        None,
        "Generated samples; as many as there are training samples, but at most 10000 (20000 rows of a table), unless "
        "given.",
        parse=positive_int,
        group="Evaluation",
    )
    refine: int | None = setting(
        None,
        "Judge draws of which one of K is kept, as `sample` with {refine} draws.",
        parse=positive_int,
        group="Evaluation",
        values="K",
    )
    features: str = setting(
        "pixels",
        "What the metrics are computed on; a file is a TorchScript (.pt) or exported (.pt2) module.",
        group="Evaluation",
        values="pixels|random-conv|inception[:WEIGHTS]|FILE",
    )
    target: str | None = setting(
        None,
        "Of a table: the column that trees learn to predict from generated rows; the last one that real rows "
        "predict, unless given.",
        group="Evaluation",
        values="COLUMN",
    )
    condition_array: str | None = setting(
        None,
        "For runs whose conditions are an array: the conditions of {against}, one row for each of those samples; "
        "without it, where those of the run are now.",
        group="Evaluation",
        values="FILE",
    )
    checkpoint: str = setting("latest", "Which checkpoint to use.", group="Evaluation", values="latest|best|STEP")
    data: str | None = setting(
        None, "Where the run's data are now, if they were moved.", group="Evaluation", values="DATA"
    )
    out: str | None = setting(
        None,
        "Where metrics.json, pictures and page are written; into the run folder unless given.",
        group="Evaluation",
        values="FOLDER",
    )
    html: str | None = setting(None, "Also write the page to this file.", group="Evaluation", values="FILE")
    seed: int = setting(
        0, "Seed of the samples, directions, folds and subsamples.", parse=whole_number, group="Evaluation"
    )
    device: str = setting(
        "auto", "Device to draw and compute features on.", group="Evaluation", values="auto|cpu|cuda|cuda:N|mps"
    )


@dataclass(frozen=True)
class ExportSettings:
    """Settings of `export`."""

    run: str = ""
    format: str | None = setting(
        None, "What to write; the suffix of {out} unless given.", group="Export", values="safetensors|onnx|pt2"
    )
    out: str | None = setting(None, "The file [generator.FORMAT in the run folder].", group="Export", values="FILE")
    checkpoint: str = setting("latest", "Which checkpoint to use.", group="Export", values="latest|best|STEP")


@dataclass(frozen=True)
class VisualizeSettings:
    """Settings of `visualize`."""

    run: str = ""
    out: str | None = setting(
        None, "Where to write [visualization in the run folder].", group="Visualize", values="FOLDER"
    )
    count: int = setting(2000, "Generated rows or fields to compare.", parse=positive_int, group="Visualize")
    seed: int = setting(0, "Seed of the latents.", parse=whole_number, group="Visualize")
    checkpoint: str = setting("latest", "Which checkpoint to use.", group="Visualize", values="latest|best|STEP")
    device: str = setting("auto", "Device to draw on.", group="Visualize", values="auto|cpu|cuda|cuda:N|mps")
