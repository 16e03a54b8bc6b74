"""Arrays of numbers: what pictures, fields and vectors share."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from wassergan.config.verbs import EvaluateSettings
from wassergan.data import (
    LABEL,
    AnyCodec,
    AnyConditions,
    ArrayConditions,
    ArrayContext,
    Codec,
    Container,
    Schema,
    Source,
    encode_table,
    raw_array,
)
from wassergan.data.codec import as_tensor, to_channels_first
from wassergan.data.grids.writing import TOLD, WRITTEN, require_writer
from wassergan.data.masked import unmasked
from wassergan.data.tables.writing import Fresh
from wassergan.errors import UserError, parameter
from wassergan.modality import described_numbers
from wassergan.modality.evaluator import Evaluation, Evaluator
from wassergan.modality.modality import Modality, Rows
from wassergan.networks import Bounded, Partial
from wassergan.sampling.given import GivenSamples
from wassergan.sampling.matching import match_margins
from wassergan.sampling.writers import (
    UNFINISHED,
    Draw,
    conditions_path,
    write_array,
    write_conditions,
    write_folder,
    write_grid,
)
from wassergan.storage.files import make_folder, remove_lost_temporaries, require_target, require_writable
from wassergan.training import match_gaps

LARGEST_GRID = 10_000
FLIPPED = 64  # samples, by which it is seen whether the codec lets them be flipped
NEARLY = 1e-4  # of their deviation


class Numbers(Modality[Codec]):
    """Samples that are one array of numbers each, which an affine codec brings to model space."""

    codec = Codec
    usual_file = "samples.png"
    usual_draw = (64, "samples.png")
    piped = ("npy",)

    def fault(self, codec: Codec, shape: tuple[int, ...]) -> str:
        """Types that are no numbers; and tensors that spread over more than a sample."""
        if np.dtype(codec.dtype).kind not in "biuf":
            return f"values of type {codec.dtype!r}"
        shape = codec.without_masks(shape)
        for name in ("offset", "scale", "low", "high"):
            each: Tensor = getattr(codec, name)
            if np.broadcast_shapes(tuple(each.shape), shape) != shape:
                size = "x".join(map(str, each.shape)) or "one"
                return f"{name} {size} {str(each.dtype).removeprefix('torch.')} for samples of shape {shape}"
        return ""

    def head(self, codec: Codec) -> nn.Module:
        """Within the bounds of the data, with constants and missing values where those are."""
        bounded = Bounded(codec.low, codec.high)
        if codec.parts is None or (codec.parts.masks == 0 and codec.parts.active.all()):
            return bounded
        return Partial(bounded, codec.parts.active, codec.parts.gappy, codec.parts.gates)

    def look_at_flipped(self, source: Source, log: Callable[[str], None]) -> None:
        """Of grids whose sides differ in what is constant, missing or in scale; constant pixels are said."""
        codec = self.own(source.codec)
        if len(source.shape) != 3:
            return  # there is no left and right, which is told elsewhere
        real = source.train_sample(FLIPPED)
        whole, found = (codec.decode_numpy(each).astype(np.float64) for each in (real, real.flip(3)))
        wanted = np.flip(whole, codec.layout.index("W"))
        near = np.isclose(found, wanted, rtol=NEARLY, atol=NEARLY * float(np.nanstd(whole)), equal_nan=True)
        places = int((~near.all(0)).sum())
        if not places:
            return
        if codec.parts is not None and not codec.parts.silent:
            log(
                "Pixels that are the same in all samples on one side alone come back so in flipped ones, too: "
                f"{places} of {near[0].size} numbers are not flipped."
            )
            return
        raise UserError(
            "The samples cannot be flipped: their sides differ in what is constant, missing or in scale",
            found=f"{places} of {near[0].size} numbers that would not come back flipped",
            hint=f"leave {parameter('mirror', True)} out, cut those sides off, or flip copies in the data themselves",
        )

    def calibrate(
        self, generator: nn.Module, codec: Codec, *, latent_dim: int, conditions: AnyConditions | None = None
    ) -> None:
        """How often values are missing, or, where settings ask for it, how each number is distributed."""
        match_margins(generator, latent_dim=latent_dim, conditions=conditions)
        if codec.parts is not None and codec.parts.masks:
            match_gaps(generator, codec.parts.rates, latent_dim=latent_dim, conditions=conditions)

    def encode(
        self,
        data: Any,
        labels: NDArray[Any] | None,
        codec: Codec,
        conditions: AnyConditions | None,
        shape: tuple[int, ...],
    ) -> tuple[Tensor, Tensor | None]:
        """An array, masked or not, or a tensor."""
        rows = as_tensor(unmasked(data, codec.parts.written if codec.parts else ())[0])
        given = to_channels_first(rows, codec.layout).shape[1:] if rows.dim() == len(codec.layout) else None
        if given != codec.without_masks(shape):
            raise UserError(
                "X has another shape than what was fitted", found=f"{tuple(rows.shape)}", hint=f"give {codec.layout}"
            )
        if conditions is None or labels is None or isinstance(conditions, ArrayConditions):
            return codec.encode(rows), None
        return codec.encode(rows), encode_table(conditions.codec, raw_array({LABEL: labels}, "y"))

    def restore(
        self,
        samples: Rows,
        codec: Codec,
        container: Container,
        *,
        without: tuple[str, ...] = (),
        identifiers: Fresh | None = None,
    ) -> Any:
        """An array, a masked array or a tensor."""
        return container.numbers(samples, codec)

    def prepare(self, path: Path, count: int) -> None:
        """A `.npy`, NetCDF, HDF5 or MATLAB file, a grid as `.png`, or a new folder for pictures."""
        if path.suffix not in (".npy", ".png", "", *WRITTEN):
            raise UserError(
                f"Samples are written as .npy, {TOLD}, .png or a folder",
                found=f"'{path.name}'",
                hint="choose one of those suffixes",
            )
        if path.suffix == ".png":
            prepare_picture(path, count)
        elif path.suffix:
            require_writer(path)
            make_folder(path.parent)
            require_writable(path)
        else:
            self.prepare_folder(path)
        if path.suffix != ".png":
            require_target(conditions_path(path))
            require_target(conditions_path(path).with_suffix(".npy"))

    def prepare_folder(self, path: Path) -> None:
        """Refuse a folder that pictures cannot be written into, and make it."""
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file", hint="name a new folder, or a file that ends in .npy or .png")
        if (path / UNFINISHED).exists():
            raise UserError(
                f"The folder {path} holds some samples of a call that was stopped, or is not done yet",
                found=f"the note {UNFINISHED} in it",
                hint="remove the folder, or name a new one",
            )
        remove_lost_temporaries(path)  # of a call that was stopped as it began
        if path.is_dir() and any(path.iterdir()):
            raise UserError(f"The folder {path} is not empty", hint="name a new one")
        make_folder(path)
        require_writable(path / "0.png")

    def write(self, draw: Draw, path: Path) -> None:
        """One array, one grid, or one picture per sample; conditions stand in a table beside them."""
        codec = self.own(draw.sampler.codec)
        if draw.sampler.conditions is not None:
            draw.processes.on_rank_zero(lambda: write_conditions(draw, path))
        match path.suffix:
            case ".npy":
                write_array(draw, path)
            case ".png":
                draw.processes.on_rank_zero(lambda: self.save_picture(draw.whole(), path, codec))
                draw.progress(draw.count)
            case suffix if suffix in WRITTEN:
                draw.processes.on_rank_zero(lambda: write_grid(draw, path, codec))
                draw.progress(draw.count)
            case _:
                write_folder(draw, path, lambda sample, file: self.save_single(sample, file, codec))

    def save_single(self, sample: Rows, path: Path, codec: Codec) -> None:
        """One sample as a PNG."""
        self.save_picture(sample[None], path, codec, columns=1)

    def pipe(self, draw: Draw, chunks: Iterator[Rows], file: IO[bytes], *, form: str) -> None:
        """An array in NumPy's format."""
        first = next(chunks)
        header = {
            "descr": np.lib.format.dtype_to_descr(first.dtype),
            "fortran_order": False,
            "shape": (*draw.axes, *first.shape[1:]),
        }
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chain([first], chunks):
            file.write(np.ascontiguousarray(chunk).data)

    def require_askable(self, settings: EvaluateSettings) -> None:
        """There are no columns to predict, and no sheets."""
        if settings.target is not None:
            raise UserError(
                "A column to predict is for tables",
                found=parameter("target", settings.target),
                hint="leave it out",
            )
        if settings.sheet is not None:
            raise UserError("Sheets are for tables", found=parameter("sheet", settings.sheet), hint="leave it out")

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
    ) -> Source:
        """A source of samples that have the shape and the type of the run's."""
        found = opened()
        if type(found.codec) is not self.codec or not self._are_alike(source, found):
            raise UserError(
                f"{path} cannot be held against the samples of {source.name}",
                found=f"{_described(found)} where those are {_described(source)}",
                hint="give data of the same kind and size",
            )
        return found

    def given(self, source: Source, others: Source) -> GivenSamples:
        """As they are, on the scale of the real ones."""
        codec, other = self.own(source.codec), self.own(others.codec)
        own, read = replace(codec, layout=other.layout), others.values
        return GivenSamples(
            *(nn.Identity(), 0, codec, source.kind),
            held=len(others),
            encoded=lambda positions: own.encode(read(positions)),
        )

    def recoded(
        self, source: Source, data: Any, codec: AnyCodec, shape: tuple[int, ...], *, schema: Schema | None
    ) -> Source:
        """The same numbers on another scale."""
        own, other = self.own(codec), source.codec
        if source.kind != self.name or self.own(other).without_masks(source.shape) != own.without_masks(shape):
            raise UserError(
                "The rows are not like what was fitted",
                found=f"{source.kind} samples of shape {source.shape} where those were {self.name} of {shape}",
                hint="give rows of the same kind and shape",
            )
        context = source.context if isinstance(source.context, ArrayContext) else None
        return replace(source, codec=replace(own, layout=self.own(other).layout), shape=shape, context=context)

    def _are_alike(self, source: Source, found: Source) -> bool:
        """Whether samples can be compared number by number; levels of 8 and of 16 bits mean other things."""
        codec, other = self.own(source.codec), self.own(found.codec)
        shapes = {codec.without_masks(source.shape), other.without_masks(found.shape)}
        return len(shapes) == 1 and other.whole == codec.whole and {codec.dtype, other.dtype} != {"uint8", "uint16"}

    def evaluator(self, evaluation: Evaluation) -> Evaluator:
        """By vectors of features, and channel by channel; grids also as pictures."""
        from wassergan.modality.feature_evaluator import FeatureEvaluator
        from wassergan.modality.given_evaluator import given_evaluator
        from wassergan.modality.grid_evaluator import GridEvaluator

        if isinstance(evaluation.sampler.conditions, ArrayConditions):
            return given_evaluator(evaluation, self)
        return GridEvaluator(evaluation, self) if self.axes == 3 else FeatureEvaluator(evaluation, self)

    def heldout_samples(self, source: Source, count: int) -> Rows:
        """As the codec gives them back."""
        return source.codec.decode_numpy(source.heldout(source.heldout_positions(count)))

    def training_samples(self, source: Source, count: int) -> Rows:
        """As the codec gives them back."""
        return source.codec.decode_numpy(source.train_sample(count))

    def decoder(self, codec: Codec) -> dict[str, Any]:
        """The affine map, its bounds, constants and missing values."""
        return described_numbers.decoder_of(codec)

    def usage(self, codec: Codec, *, latent_dim: int, shape: tuple[int, ...]) -> list[str]:
        """Scale, shift, round, and move the axes."""
        return described_numbers.usage_of(codec, latent_dim=latent_dim, shape=shape)

    def codec_of(self, decoder: Mapping[str, Any]) -> Codec:
        """The inverse of `decoder`."""
        return described_numbers.codec_of(decoder)


def _described(source: Source) -> str:
    return f"{source.codec.dtype} samples of shape {source.shape}"


def prepare_picture(path: Path, count: int) -> None:
    """Refuse more samples than one picture shows, and make the folder of a PNG.

    Raises:
        UserError: with the number.
    """
    if count > LARGEST_GRID:
        raise UserError(
            "Too many samples for one picture",
            found=f"{count}",
            hint=f"ask for at most {LARGEST_GRID}, or for .npy",
        )
    make_folder(path.parent)
    require_writable(path)
