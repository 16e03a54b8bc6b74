"""Data of any kind opened as a source: a path, a pattern, an array, a DataFrame or the bundled digits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from wassergan.data.arraytrip import round_trip
from wassergan.data.asked import Asked, refuse_what_did_nothing, refuse_what_says_nothing, refuse_what_tables_have
from wassergan.data.codec import VOLUMES
from wassergan.data.container import Container, as_array, index_words
from wassergan.data.files import KINDS, all_are, files_of
from wassergan.data.frames import FrameContainer
from wassergan.data.grids import is_grid_file, open_gridded
from wassergan.data.grids.choosing import named_in
from wassergan.data.labels import label_table
from wassergan.data.naming import FOLDER, tables_under
from wassergan.data.paired import ArrayContext, array_context
from wassergan.data.readers.array_folder import is_array_file, stacked_arrays
from wassergan.data.readers.arrays import array_names, array_source, load_array, names_beside
from wassergan.data.readers.columnar import columnar_source, is_columnar
from wassergan.data.readers.filearray import FileArray
from wassergan.data.readers.idx import is_idx, read_idx
from wassergan.data.readers.marks import unchanging
from wassergan.data.readers.paths import is_pattern, is_shard
from wassergan.data.readers.tiff import SUFFIXES, tiffs_of
from wassergan.data.series.opening import InTime, opened_in_time
from wassergan.data.source import Source
from wassergan.data.split import HELDOUT_SHARE
from wassergan.data.table_files import schema_in, table_in
from wassergan.data.tables import Schema, context_of, is_frame, read_frame, table_source
from wassergan.data.tables.totals import with_total_told
from wassergan.data.volumes.crops import Sides
from wassergan.data.volumes.opening import opened_crops, opened_stacks
from wassergan.errors import UserError, parameter
from wassergan.storage.files import require_readable

MOST_NOTES = 200


def open_source(
    data: Any,
    *,
    size: tuple[int, int] | None = None,
    colour: str = "auto",
    skip_unreadable: bool = False,
    key: str | None = None,
    sample_dim: str | None = None,
    sheet: str | None = None,
    layout: str = "auto",
    scale: str = "auto",
    missing: Sequence[int | float] = (),
    channels: Sequence[str] = (),
    schema: str | Path | Schema | None = None,
    condition: Sequence[str] = (),
    completion: bool = False,
    labels: Any = None,
    condition_array: Any = None,
    condition_layout: str = "auto",
    weight: str | None = None,
    sample_weight: Any = None,
    series: str | None = None,
    time: str | None = None,
    window: int | None = None,
    stride: int | None = None,
    crop: Sides | None = None,
    heldout: float | None = None,
    seed: int = 0,
    like: Source | None = None,
    log: Callable[[str], None] = lambda message: None,
) -> Source:
    """Open data for training or measuring.

    Args:
        data: `digits`; a folder, `.zip` or `.tar` shards of pictures; a folder of `.npy` files, each one sample; a
            `.npy`, `.npz`, IDX or multi-page TIFF file; a NetCDF, Zarr, HDF5 or MATLAB file, of which `era5.nc::t2m`
            names one array (of a `.npz`, too); Parquet, Arrow or Feather files; a folder of shards or of tables, or a
            pattern such as `part-{000..099}.tar` or `part-*.parquet`; a `.csv` or `.tsv` file, `.gz` too; an Excel
            workbook; an array or tensor of samples; or a DataFrame of pandas or polars.
        size: (height, width), for pictures.
        colour: `auto`, `grey` or `rgb`, for pictures.
        skip_unreadable: skip pictures that cannot be read.
        key: which array of a `.npz`, or of a NetCDF, Zarr, HDF5 or MATLAB file.
        sample_dim: the axis of such an array along which samples lie: its name, several with commas between, or the
            number of one that has no name; time unless given, or the first where axes have no names.
        sheet: which sheet of an Excel workbook; the first unless given.
        layout: `auto`, `N`, `ND`, `NHW`, `NHWC`, `NCHW`, for series `NTC`, for volumes `NDHW`, `NDHWC` or `NCDHW`, for
            arrays; `table` reads Parquet, Arrow and Feather files of numbers as tables, as those with other columns or
            missing values are anyway.
        scale: `auto`, `feature`, `channel` or `array`: how numbers of arrays are standardised. `auto`: each channel of
            fields and each feature of vectors separately.
        missing: numbers in arrays that mean missing, such as -9999; NaN and masks always do.
        channels: names of the channels of an array, or of its features; an array of names in a `.npz` gives them too.
        schema: a description of a table's columns, or a JSON file with one.
        condition: conditions of the samples: names of a table's columns, `label` of the digits, `folder` of pictures
            in folders, other arrays of a `.npz`, columns of `labels`.
        completion: every column of a table is learnt given any others, so that missing cells can be filled.
        labels: conditions of pictures and arrays: a file, array, list or frame with one row per sample.
        condition_array: conditions of pictures, fields and other arrays that are arrays themselves, such as coarse
            fields: an array, or a `.npy`, `.npz` or IDX file, with one row per sample; `pairs.npz::coarse` names one of
            the arrays in a file.
        condition_layout: of `condition_array`: `auto`, `N`, `ND`, `NHW`, `NHWC` or `NCHW`.
        weight: the column of a table that holds the weights of its rows, such as survey weights: rows are drawn and
            counted in proportion to them. It is no column of the samples.
        sample_weight: one weight per sample, where no column holds them.
        series: the column of a long table that names the series of each row; `time` is asked for, too.
        time: the column of time of a long table.
        window: steps in a window, of one long series: an array (S,) or (S, C), or a table of numbers.
        stride: steps from the start of one window to that of the next; 1 unless given.
        crop: sides of crops of one large volume (depth, height, width), or of several (`NDHW`).
        heldout: share of the samples held out; a tenth unless given (a fifth of the digits).
        seed: chooses the held-out samples.
        like: pictures are converted to the size, colours and bit depth of these, for comparison.
        log: receives, in a sentence, what was decided on the way; `Source.notes` keeps all of these sentences.

    Raises:
        UserError: the data cannot be read or used; the message says how to correct them.
        DataChangedError: a file changed while it was read.
    """
    notes = _Notes(log)
    data, key = _of_archive(data, key)
    if like is not None and like.has_levels:
        size, colour = (like.shape[1], like.shape[2]), "grey" if like.shape[0] == 1 else "rgb"
    asked = Asked(
        split={"seed": seed} if heldout is None else {"seed": seed, "heldout": heldout},
        log=notes,
        size=size,
        colour=colour,
        skip_unreadable=skip_unreadable,
        bits=None if like is None else 16 if like.codec.dtype == "uint16" else 8,
        key=key,
        sample_dim=sample_dim,
        sheet=sheet,
        layout=layout,
        scale=scale,
        missing=tuple(missing),
        channels=tuple(channels),
        schema=schema,
        condition=tuple(condition),
        completion=completion,
        labels=labels,
        condition_array=condition_array,
        condition_layout=condition_layout,
        weight=weight,
        sample_weight=sample_weight,
        in_time=InTime(series, time, window, stride),
        crop=crop,
    )
    if weight is not None and sample_weight is not None:
        raise UserError("Weights are given twice", found=f"the column {weight}, and sample_weight", hint="give one")
    if completion and condition:
        raise UserError(
            f"With {parameter('completion')} any column can be given, so none is a fixed condition",
            found=parameter("condition", tuple(condition), text=" ".join(condition)),
            hint=f"leave {parameter('condition')} out, and name what is given when you sample",
        )
    try:
        source = _opened(data, asked)
    except PermissionError as error:
        raise UserError(
            f"{error.filename or data} may not be read",
            found=error.strerror or str(error),
            hint="change its permissions, as with chmod u+r, or give a copy",
        ) from error
    if source.round_trip is None and isinstance(data, str | Path | Tensor | np.ndarray | FileArray):
        source = replace(source, round_trip=round_trip(source))
    refuse_what_tables_have(source, asked)
    if like is None and isinstance(data, str | Path):
        refuse_what_did_nothing(source, Path(data), asked)
    if not source.codec.conditions_are_columns and sample_weight is not None:  # readers of tables take them
        source = source.weighted(sample_weight)
    source = _with_labels(source, data, asked, seed)
    if source.names is not None and (passed := source.names.passed.sentence(source.name)):
        notes(passed)
    return replace(source, notes=notes.kept)  # more may come: a picture may turn out unreadable when it is needed


def _of_archive(data: Any, key: str | None) -> tuple[Any, str | None]:
    """A path such as `pairs.npz::fine` as that of the archive and the name of an array in it."""
    if not isinstance(data, str | Path):
        return data, key
    path, name = named_in(str(data))
    if name is None or path.suffix != ".npz":
        return data, key
    if key not in (None, name):
        raise UserError("Two arrays are named", found=f"{name} and {key}", hint="name one")
    return str(path), name


class _Notes:
    """Tells sentences, and keeps the first of them."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.kept: list[str] = []
        self._log = log

    def __call__(self, sentence: str) -> None:
        if len(self.kept) < MOST_NOTES and sentence not in self.kept:
            self.kept.append(sentence)
        self._log(sentence)


def _opened(data: Any, asked: Asked) -> Source:
    if asked.in_time.is_asked:
        return opened_in_time(
            data,
            asked.in_time,
            schema=asked.schema,
            sheet=asked.sheet,
            key=asked.key,
            sample_dim=asked.sample_dim,
            of_numbers=asked.of_numbers,
            refused=[*asked.beside, *(["crop"] if asked.crop else [])],
        )
    if asked.crop is not None:
        return opened_crops(data, asked.crop, key=asked.key, of_numbers=asked.of_numbers, refused=asked.beside)
    if is_frame(data):
        return _frame(data, asked)
    if isinstance(data, Tensor | np.ndarray | FileArray):
        return array_source(as_array(data) if isinstance(data, Tensor) else data, **asked.of_numbers)
    if is_grid_file(data):
        return _gridded(str(data), asked)
    if asked.sample_dim is not None:
        raise UserError(
            f"{parameter('sample_dim')} is for NetCDF, Zarr, HDF5 and MATLAB files",
            found=f"{data}",
            hint="leave it out",
        )
    require_readable(Path(data))
    refuse_what_says_nothing(data, asked)
    if str(data) == "digits":
        from wassergan.data.readers.digits import digits_source  # scikit-learn takes a second to import

        return digits_source(**asked.split)
    if asked.layout != "table" and (stacks := _stacks(str(data), asked)):
        return opened_stacks(stacks, asked.of_numbers)
    files = files_of(str(data), asked.log)
    with unchanging(files):
        return _of_files(Path(data), files, asked)


def _gridded(data: str, asked: Asked) -> Source:
    """One of the named arrays of a file, with its coordinates and attributes."""
    for name, said in (("schema", asked.schema), ("weight", asked.weight)):
        if said is not None:
            raise UserError(f"{parameter(name)} is for tables", found=data, hint="leave it out")
    found = open_gridded(data, key=asked.key, sample_dim=asked.sample_dim, log=asked.log)
    numbers = {**asked.of_numbers, "missing": (*found.codes, *asked.missing)}
    if asked.layout == "auto":
        numbers["layout"] = found.layout
    return array_source(found.array, name=found.name, beside=[found.names], grid=found.metadata, **numbers)


def _stacks(data: str, asked: Asked) -> list[Path]:
    """TIFF files that are volumes: one alone, or those of a folder or a pattern if the layout says so."""
    is_one = Path(data).suffix.lower() in SUFFIXES and not is_pattern(data)
    return tiffs_of(data, asked.log) if is_one or asked.layout in VOLUMES else []


def _with_labels(source: Source, data: Any, asked: Asked, seed: int) -> Source:
    """The source, with conditions that lie beside its samples, if some are asked for."""
    if source.codec.conditions_are_columns and asked.labels is not None:
        raise UserError(
            "The conditions of a table are columns of its own", hint=f"name them with {parameter('condition')}"
        )
    if asked.condition_array is not None:
        return replace(source, context=_array_context(source, asked, seed))
    if asked.condition_layout != "auto":
        raise UserError(
            f"{parameter('condition_layout')} is for conditions that are an array",
            found=parameter("condition_layout", asked.condition_layout),
            hint=f"leave it out, or give {parameter('condition_array')}",
        )
    if source.context is not None or not (asked.condition or asked.labels is not None):
        return source
    table = label_table(data, source, condition=asked.condition, labels=asked.labels, log=asked.log)
    context, split = context_of(table, condition=asked.condition, split=source.split, seed=seed, log=asked.log)
    return replace(source if split is source.split else source.holding_out(split), context=context)


def _array_context(source: Source, asked: Asked, seed: int) -> ArrayContext:
    """Conditions that are an array, which stand alone.

    Raises:
        UserError: other conditions are asked for, too; or samples are rows of a table.
    """
    if source.codec.conditions_are_columns:
        raise UserError(
            "The conditions of a table are columns of its own",
            found=parameter("condition_array"),
            hint=f"leave it out, or name columns with {parameter('condition')}",
        )
    if asked.condition or asked.labels is not None:
        other = "labels" if asked.labels is not None else "condition"
        raise UserError(
            "Conditions are an array or labels, not both",
            found=f"{parameter('condition_array')} and {parameter(other)}",
            hint="leave one out; labels can become channels of the array",
        )
    return array_context(
        asked.condition_array,
        source,
        layout=asked.condition_layout,
        missing=asked.missing,
        heldout=asked.split.get("heldout", HELDOUT_SHARE),
        seed=seed,
        log=asked.log,
    )


def _frame(data: Any, asked: Asked) -> Source:
    if asked.missing or asked.channels:
        raise UserError("missing and channels are for arrays", found="a DataFrame", hint="leave them out")
    container = Container.of(data)
    if index := index_words(data):
        asked.log(f"Left out the index of the DataFrame: {index}. reset_index() makes it a column.")
    into = None if container.kind == "arrow" else FrameContainer(data, container)
    return table_source(with_total_told(read_frame(data)), schema=schema_in(asked.schema), into=into, **asked.of_tables)


def _of_files(path: Path, files: list[Path], asked: Asked) -> Source:
    if not files or all_are(is_shard, files):
        return _pictures(path, files, asked)
    if all_are(is_columnar, files):
        schema = schema_in(asked.schema) if asked.schema else None
        said = {
            "condition": asked.condition,
            "completion": asked.completion,
            "weight": asked.weight,
            "weights": asked.sample_weight,
        }
        return columnar_source(files, path.name, schema=schema, **said, **asked.of_numbers)
    if all_are(is_array_file, files) and (len(files) > 1 or path.is_dir()):
        return array_source(stacked_arrays(files, path.name), name=path.name, **asked.of_numbers)
    if len(files) > 1:
        raise UserError(
            f"The files of {path} cannot be read together",
            found=f"{len(files)} files, the first {files[0]}",
            hint="give .tar or .zip files of pictures, .npy files of one sample each, or Parquet, Arrow or Feather "
            "files",
        )
    return _file(files[0], asked)


def _file(path: Path, asked: Asked) -> Source:
    if path.suffix in (".npy", ".npz"):
        return _numpy(path, asked)
    if is_idx(path):
        return array_source(read_idx(path), name=path.name, **asked.of_numbers)
    schema = schema_in(asked.schema)
    table = table_in([path], path.name, sheet=asked.sheet, said=schema)
    if table is None:
        raise UserError(f"The kind of {path} is not known", found=f"suffix '{path.suffix}'", hint=f"give {KINDS}")
    return table_source(table, schema=schema, **asked.of_tables)


def _numpy(path: Path, asked: Asked) -> Source:
    name, array = load_array(path, key=asked.key)
    return _member(path, name, array, asked) if ":" in name else array_source(array, name=name, **asked.of_numbers)


def _member(path: Path, name: str, array: np.ndarray[Any, Any] | FileArray, asked: Asked) -> Source:
    """One of the arrays of a `.npz`, with names that others hold."""
    used, beside = name.rpartition(":")[2], names_beside(path)
    asked.log(f"Using the array {used} of {path.name}, shape {array.shape}.")
    source = array_source(array, name=name, beside=list(beside.values()), **asked.of_numbers)
    named = getattr(source.codec, "channels", ()) or source.columns
    taken = {used, *asked.condition, *(each for each, names in beside.items() if names == tuple(named))}
    if others := [each for each in array_names(path) if each not in taken]:
        asked.log(
            f"Passed over in {path.name}: {', '.join(others)} "
            f"({parameter('key')} and {parameter('condition')} name arrays)."
        )
    return source


def _pictures(path: Path, files: list[Path], asked: Asked) -> Source:
    if asked.missing or asked.channels:
        raise UserError(
            f"{parameter('missing')} and {parameter('channels')} are for arrays",
            found=f"pictures in {path}",
            hint="leave them out",
        )
    from wassergan.data.readers.images import ImageOptions, image_folder_source
    from wassergan.data.readers.shards import shard_source

    options = ImageOptions(
        size=asked.size,
        colour=asked.colour,
        skip_unreadable=asked.skip_unreadable,
        bits=asked.bits,
        **asked.split,
    )
    if files:
        return shard_source(files, path.name, options, log=asked.log)
    return image_folder_source(path, replace(options, used=_label_files(path, asked)), log=asked.log)


def _label_files(folder: Path, asked: Asked) -> frozenset[str]:
    """Files in a folder of pictures that hold their labels, as paths below it."""
    if isinstance(asked.labels, str | Path):
        there = Path(asked.labels).resolve()
        root = folder.resolve()
        return frozenset({there.relative_to(root).as_posix()} if there.is_relative_to(root) else ())
    wants_tables = asked.labels is None and set(asked.condition) - {FOLDER}
    return frozenset(tables_under(folder) if wants_tables else ())
