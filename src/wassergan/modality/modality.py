"""A class of data: all that the library has to know of pictures, fields, vectors or tables, one class each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, Generic, TypeVar

from numpy.typing import NDArray
from torch import Tensor, nn

from wassergan.config.settings import TrainSettings
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import AnyCodec, AnyConditions, Schema, Source
from wassergan.data.tables.writing import Fresh
from wassergan.errors import UserError
from wassergan.modality.evaluator import Evaluation, Evaluator
from wassergan.sampling.components import ComponentMargins, Components
from wassergan.sampling.given import GivenSamples
from wassergan.sampling.margins import Margins
from wassergan.sampling.sampler import Sampler
from wassergan.sampling.writers import Draw
from wassergan.training.augment import NONE

C = TypeVar("C", bound=AnyCodec)
Rows = NDArray[Any]
AnyMargins = Margins | ComponentMargins


class Modality(ABC, Generic[C]):
    """What differs from one class of data to another. A new one derives from this, and is listed in `MODALITIES`.

    Sources, checkpoints and exported files carry its name. Plots, metrics and tables are imported in the methods that
    need them, since some take a second.

    Attributes:
        name: of the modality.
        noun: what samples are called at the beginning of a message.
        codec: the class of its codecs.
        axes: how many a sample has in model space.
        is_refitted: a resumed run takes the codec of the data as they are now, not that of its checkpoint.
        is_independent_of_count: a sample is the same to the last bit, however many are drawn.
        usual_file: what samples are written to, in the run's folder, unless the user names a file.
        usual_draw: a count and a file, for the sentence that tells how to draw.
        piped: formats for standard output, the usual one first.
        is_text: those may go to a terminal.
        preview_count: samples in the preview of a tick.
        is_figure: a preview is a figure beside real samples, which takes a second; else a grid, which takes none.
        are_pictures: values are grey or colour levels, as networks that were trained on pictures expect.
        has_units: channels have units of their own, and are judged one by one.
        has_neighbours: samples that are near each other look alike in a picture.
        looks_at_data: `visualize` draws real samples beside the generated ones.
    """

    name: ClassVar[str]
    noun: ClassVar[str] = "Samples"
    codec: type[C]
    axes: ClassVar[int]
    is_refitted: ClassVar[bool] = False
    is_independent_of_count: ClassVar[bool] = False
    usual_file: ClassVar[str]
    usual_draw: ClassVar[tuple[int, str]]
    piped: ClassVar[tuple[str, ...]]
    is_text: ClassVar[bool] = False
    preview_count: ClassVar[int]
    is_figure: ClassVar[bool]
    are_pictures: ClassVar[bool] = False
    has_units: ClassVar[bool] = True
    has_neighbours: ClassVar[bool] = True
    visualizes_data: ClassVar[bool] = True

    def own(self, codec: AnyCodec) -> C:
        """A codec as one of this modality.

        Raises:
            UserError: it is another's.
        """
        if not isinstance(codec, self.codec):
            raise UserError(f"{self.name} samples have another codec", found=type(codec).__name__)
        return codec

    # Training

    @abstractmethod
    def fault(self, codec: C, shape: tuple[int, ...]) -> str:
        """What a codec from a file holds that no data have, for samples of a shape; empty for nothing."""

    @abstractmethod
    def head(self, codec: C) -> nn.Module:
        """The last module of a generator: raw numbers to samples that the data could have."""

    def recipe(
        self, codec: C, *, shape: tuple[int, ...], train_count: int, asked: TrainSettings
    ) -> Mapping[str, Any] | None:
        """Settings of the preset `default`; None for those that go by the shape of a sample.

        Args:
            codec: of the data.
            shape: of a sample in model space.
            train_count: training samples.
            asked: what the user says, which may not fit our own recipe.
        """
        return None

    def recipe_under_conditions(self, recipe: Mapping[str, Any], asked: TrainSettings) -> Mapping[str, Any]:
        """What our own recipe takes in addition where samples are drawn under columns of conditions."""
        return {}

    def recipe_reason(self, shape: tuple[int, ...], asked: TrainSettings) -> str:
        """Why that recipe, in a sentence; empty where there is nothing to say."""
        return ""

    def augmentation(self, shape: tuple[int, ...], train_count: int) -> str:
        """What the augmentation `auto` stands for."""
        return NONE

    def look_at_flipped(self, source: Source, log: Callable[[str], None]) -> None:
        """Refuse samples that would not come back flipped, left to right, if they were learnt so.

        Args:
            source: the data.
            log: receives what does not hinder, in a sentence.

        Raises:
            UserError: says what to leave out.
        """

    def calibrate(
        self, generator: nn.Module, codec: C, *, latent_dim: int, conditions: AnyConditions | None = None
    ) -> None:
        """Set right, before anything is drawn, what training leaves off, such as the shares of rare levels."""

    def margins(self, codec: C, samples: Tensor) -> AnyMargins:
        """What refined samples must have as training samples (n, ...) do: by default leading principal components."""
        return ComponentMargins.fit(Components.fit(samples), samples)

    def margins_of(self, codec: C, state: Mapping[str, Any], *, numbers: int) -> AnyMargins:
        """Margins from their state in a file, for samples of so many numbers.

        Raises:
            ValueError: those of other samples.
        """
        return ComponentMargins.from_state(state, numbers=numbers)

    @abstractmethod
    def encode(
        self,
        data: Any,
        labels: NDArray[Any] | None,
        codec: C,
        conditions: AnyConditions | None,
        shape: tuple[int, ...],
    ) -> tuple[Tensor, Tensor | None]:
        """Samples in memory, like those that were trained on, in model space; and their conditions as vectors.

        Args:
            data: an array, a tensor or a DataFrame.
            labels: one per sample; None for none.
            codec: of the run.
            conditions: that it was trained under.
            shape: of a sample in model space.

        Raises:
            UserError: they are not like those.
        """

    def facts(self, source: Source) -> dict[str, Any]:
        """What `wassergan info` tells of the data, beyond what all have."""
        return {}

    # Writing

    @abstractmethod
    def restore(
        self,
        samples: Rows,
        codec: C,
        container: Any,
        *,
        without: tuple[str, ...] = (),
        identifiers: Fresh | None = None,
    ) -> Any:
        """Samples as the kind of object that the data came in; arguments as of `Container.rows`."""

    @abstractmethod
    def prepare(self, path: Path, count: int) -> None:
        """Refuse a file that samples cannot be written to, and make the folders.

        Raises:
            UserError: the suffix is not known, the folder is not empty, or the samples are no pictures.
        """

    @abstractmethod
    def write(self, draw: Draw, path: Path) -> None:
        """Draw samples and write them to a file that was prepared."""

    @abstractmethod
    def pipe(self, draw: Draw, chunks: Iterator[Rows], file: IO[bytes], *, form: str) -> None:
        """Write samples to a stream: the bytes that a file of that format would hold."""

    # Judging

    def require_askable(self, settings: EvaluateSettings) -> None:
        """Refuse what can be asked of other classes of data alone.

        Raises:
            UserError: names the setting.
        """

    @abstractmethod
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
    ) -> Any:
        """Real samples that take the place of the held-out ones of a run.

        Args:
            path: where they lie.
            source: the run's own data.
            opened: opens them as those were, and like those.
            sheet: of a workbook.
            schema: what the user said about the run's table.
            weight: the column of the run's table that held the weights of its rows.
            log: receives, in a sentence, what was decided on the way.

        Returns:
            What `evaluate` finds in `Evaluation.others`.

        Raises:
            UserError: they cannot be held against the run's samples.
        """

    @abstractmethod
    def given(self, source: Source, others: Any) -> GivenSamples:
        """Samples that are there, to be judged in the place of a generator's.

        Args:
            source: the real samples.
            others: what `others` made of those that are judged.
        """

    @abstractmethod
    def recoded(
        self, source: Source, data: Any, codec: AnyCodec, shape: tuple[int, ...], *, schema: Schema | None
    ) -> Source:
        """A source of data in memory with the codec of a fit, which may know other levels and ranges.

        Args:
            source: of the data, as they were opened by themselves.
            data: an array or a DataFrame.
            codec: of the fit.
            shape: of its samples in model space.
            schema: what the user said of a table's columns.

        Raises:
            UserError: they are not like what was fitted.
        """

    @abstractmethod
    def evaluator(self, evaluation: Evaluation) -> Evaluator:
        """What judges a generator of such samples.

        Raises:
            UserError: features that do not suit.
        """

    # Looking

    @abstractmethod
    def save_picture(
        self, samples: Rows, path: Path, codec: C, *, real: Rows | None = None, columns: int | None = None
    ) -> None:
        """A preview of samples as a PNG.

        Args:
            samples: (n, ...) in the user's units and layout.
            path: the file.
            codec: gives layout and range.
            real: samples to draw beside them, where that is usual.
            columns: of a grid; a square one unless given.
        """

    @abstractmethod
    def heldout_samples(self, source: Source, count: int) -> Rows:
        """Up to `count` held-out samples from all over the data, in the user's units."""

    @abstractmethod
    def training_samples(self, source: Source, count: int) -> Rows:
        """Up to `count` training samples from all over the data, in the user's units."""

    @abstractmethod
    def visualize(self, sampler: Sampler, source: Source | None, out: Path, *, count: int, seed: int) -> list[Path]:
        """Draw what a generator has learnt, in all the ways that suit its samples.

        Args:
            sampler: to draw from.
            source: of real samples to draw beside them; None where the data are gone.
            out: a folder that is there.
            count: samples to draw where they are compared with real ones.
            seed: of the latents.

        Returns:
            The files.
        """

    # Exporting

    @abstractmethod
    def decoder(self, codec: C) -> dict[str, Any]:
        """The codec in plain JSON types, for programs that know nothing of this library."""

    @abstractmethod
    def usage(self, codec: C, *, latent_dim: int, shape: tuple[int, ...]) -> list[str]:
        """In words: how to draw, and what to do with the decoder."""

    @abstractmethod
    def codec_of(self, decoder: Mapping[str, Any]) -> C:
        """The inverse of `decoder`."""
