"""What a user can set, one frozen dataclass per verb: flags, JSON, help and documentation come from it."""

import glob
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields, replace
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

from wassergan.errors import UserError, unknown_name

MOST_LAYERS = 1000
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Settings that a resumed run may change: how long it goes on, where its files lie now, and what it writes; and those of
# the machine and of the pace, after which the numbers are other ones than those of a run that was never stopped.
BIT_CHANGING = ("device", "threads", "precision", "batch_size", "generator_rate", "critic_rate")
CHANGEABLE = (
    *("steps", "budget", "data", "labels", "schema", "tick_steps", "w1_every", "keep", "previews", "tensorboard"),
    *("on_divergence", "rollbacks", "cuda_graphs", *BIT_CHANGING),
)


def parse_budget(text: str) -> float:
    """Seconds of a duration such as `20s`, `10m`, `2h` or `1.5h`; a bare number is in seconds.

    Raises:
        UserError: not a positive duration.

    >>> parse_budget("10m")
    600.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if not 0 < seconds < float("inf"):
        raise UserError("A budget is a positive duration", found=_quoted(text), mend="write it like 20s, 10m or 2h")
    return seconds


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of `64` or `48x64`.

    Raises:
        UserError: not a size.

    >>> parse_size("48x64")
    (48, 64)
    """
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip())
    size = (_whole(match[1]), _whole(match[2] or match[1])) if match else (0, 0)
    if min(size) < 1:
        raise UserError(
            "A size is a whole number or HEIGHTxWIDTH", found=_quoted(text), mend="write it like 64 or 48x64"
        )
    return size


def parse_widths(text: str) -> tuple[int, ...]:
    """Layer widths of `256,256`.

    Raises:
        UserError: not a list of positive whole numbers, or more than `MOST_LAYERS`.

    >>> parse_widths("256,512")
    (256, 512)
    """
    widths = tuple(_whole(part) for part in text.split(","))
    if min(widths) < 1:
        raise UserError("Widths are whole numbers", found=_quoted(text), mend="write them like 256,512")
    if len(widths) > MOST_LAYERS:
        raise UserError(f"A network has at most {MOST_LAYERS} layers", found=f"{len(widths)}")
    return widths


def parse_numbers(text: str) -> tuple[int | float, ...]:
    """Numbers of `-9999,1e20`; whole ones stay whole.

    Raises:
        UserError: not a list of finite numbers.

    >>> parse_numbers("-9999,1e20")
    (-9999, 1e+20)
    """
    numbers = [int(part) if re.fullmatch(r"[+-]?\d{1,38}", part) else _number(part) for part in _parts(text)]
    if not numbers or not all(float("-inf") < number < float("inf") for number in numbers):
        raise UserError("Expected finite numbers", found=f"'{text}'", mend="write them like -9999 or -9999,1e20")
    return tuple(numbers)


def parse_names(text: str) -> tuple[str, ...]:
    """Names of `temperature,humidity`.

    Raises:
        UserError: an empty name.
    """
    names = _parts(text)
    if not all(names):
        raise UserError("Expected names", found=f"'{text}'", mend="write them like temperature,humidity")
    return tuple(names)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def positive_int(text: str) -> int:
    """A whole number above 0.

    Raises:
        UserError: it is not.
    """
    number = _whole(text)
    if number < 1:
        raise UserError("Expected a whole number above 0", found=_quoted(text))
    return number


def whole_number(text: str) -> int:
    """A whole number from 0 that fits 63 bits.

    Raises:
        UserError: it is not.
    """
    number = _whole(text)
    if number < 0:
        raise UserError("Expected a whole number from 0, below 2^63", found=_quoted(text))
    return number


def positive_float(text: str) -> float:
    """A finite number above 0.

    Raises:
        UserError: it is not.
    """
    number = _number(text)
    if not 0 < number < float("inf"):
        raise UserError("Expected a number above 0", found=_quoted(text))
    return number


def fraction(text: str) -> float:
    """A number in [0, 1).

    Raises:
        UserError: it is not.
    """
    number = _number(text)
    if not 0 <= number < 1:
        raise UserError("Expected a number from 0 up to, not including, 1", found=_quoted(text))
    return number


def not_negative(text: str) -> float:
    """A finite number from 0.

    Raises:
        UserError: it is not.
    """
    number = _number(text)
    if not 0 <= number < float("inf"):
        raise UserError("Expected a number from 0", found=_quoted(text))
    return number


def _whole(text: str) -> int:
    """A whole number from 0, below 2^63; -1 for anything else."""
    digits = text.strip().lstrip("0") or text.strip()[:1]
    if not digits.isdecimal() or len(digits) > len(str(2**63)):  # Python reads no numbers of thousands of digits
        return -1
    return int(digits) if int(digits) < 2**63 else -1


def _quoted(text: str) -> str:
    return f"'{text}'" if len(text) <= 80 else f"'{text[:80]}...', {len(text)} characters"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def setting(
    default: Any,
    text: str,
    *,
    parse: Callable[[str], Any] = str,
    group: str,
    values: str = "",
    flag: bool = False,
    several: bool = False,
) -> Any:
    """A field of a settings class.

    Args:
        default: None leaves the choice to the preset, or to the data.
        text: help.
        parse: text from the command line to the value.
        group: heading in the help.
        values: what to show as the flag's value.
        flag: a switch without a value.
        several: a tuple of values, all that follow the flag.
    """
    return field(
        default=default,
        metadata={"text": text, "parse": parse, "group": group, "values": values, "flag": flag, "several": several},
    )


def absolute(path: str | None) -> str | None:
    """A path or a pattern from the root; what is no path, such as `digits`, stays."""
    if not path or path == "digits" or Path(path).is_absolute():
        return path
    here = str(Path.cwd())
    # A pattern's own signs in the name of a folder above it would become part of the pattern.
    is_pattern = any(sign in path for sign in "*?[{") and not Path(path).exists()
    return str(Path(glob.escape(here) if is_pattern else here, path))


def _checked(each: "Field[Any]", value: Any) -> Any:
    """A value in plain types, if its flag would take it."""
    if value is None and each.default is None:
        return None
    rule = each.metadata
    try:
        if not rule or rule["parse"] is str:
            return _checked_text(value, several=bool(rule and rule["several"]), switch=bool(rule and rule["flag"]))
        if rule["parse"] is parse_names:
            return _checked_text(value, several=True, switch=False)
        if isinstance(value, list | tuple):
            mark = "x" if rule["parse"] is parse_size else ","
            return rule["parse"](mark.join(_digits(part) for part in value)) if value else ()
        return rule["parse"](_digits(value, exponent=rule["parse"] is not parse_budget))
    except UserError as error:
        raise UserError(f"{each.name}: {error.what}", found=error.found, mend=error.mend) from error


def _checked_text(value: Any, *, several: bool, switch: bool) -> Any:
    if switch and isinstance(value, bool):
        return value
    if several and isinstance(value, list | tuple) and value:
        return tuple(_checked_text(each, several=False, switch=False) for each in value)
    if isinstance(value, str | Path) and not several and not switch:
        return str(value)
    raise UserError("Expected text" if not switch else "Expected yes or no", found=_shortly(value))


def _digits(value: Any, *, exponent: bool = True) -> str:
    """A number as it would stand on a command line, whatever type of Python or NumPy it is of."""
    if isinstance(value, bool):
        raise UserError("Expected a number", found=f"{value}")
    if isinstance(value, Integral) and abs(int(value)) < 2**128:
        return str(int(value))
    if isinstance(value, Real) and not isinstance(value, Integral):
        text = repr(float(value))
        return text if exponent else f"{Decimal(text):f}"
    raise UserError("Expected a number", found=_shortly(value))


def _shortly(value: Any) -> str:
    try:
        return f"{value!r}"[:80]
    except ValueError:  # a number of more digits than Python writes
        return "a number of thousands of digits"


@dataclass(frozen=True)
class TrainSettings:
    """Settings of `train`; None is left to the preset, or to the data."""

    data: str = ""
    preset: str = setting(
        "default", "Named settings to start from.", group="Recipe", values="default|wgan|wgan-gp|sn-wgan"
    )

    objective: str | None = setting(None, "Losses.", group="Recipe", values="wasserstein|minimax|nonsaturating|hinge")
    constraint: str | None = setting(
        None, "What keeps the critic Lipschitz.", group="Recipe", values="clip|gp|lp|sn|orthogonal|none"
    )
    clip: float | None = setting(None, "Limit of weight clipping.", parse=positive_float, group="Recipe")
    penalty_weight: float | None = setting(None, "Weight of gp and lp.", parse=positive_float, group="Recipe")
    penalty_every: int | None = setting(
        None,
        "The penalty acts on every so many critic steps, with so many times its weight.",
        parse=positive_int,
        group="Recipe",
    )
    network: str | None = setting(None, "Architecture.", group="Recipe", values="mlp|residual|conv|resnet")
    generator_widths: tuple[int, ...] | None = setting(
        None, "Hidden widths of an mlp or residual generator.", parse=parse_widths, group="Recipe", values="W,W,..."
    )
    critic_widths: tuple[int, ...] | None = setting(
        None, "Hidden widths of its critic.", parse=parse_widths, group="Recipe", values="W,W,..."
    )
    maps: int | None = setting(None, "Feature maps of conv and resnet.", parse=positive_int, group="Recipe")
    activation: str | None = setting(None, "Activation of an mlp.", group="Recipe", values="leaky_relu|silu|maxmin")
    critic_activation: str | None = setting(
        None,
        "Activation of an mlp or conv critic (maxmin under orthogonal; else an mlp's own, leaky_relu in a conv).",
        group="Recipe",
        values="leaky_relu|silu|maxmin",
    )
    generator_norm: str | None = setting(
        None,
        "Normalisation in the generator (batch: not in an mlp).",
        group="Recipe",
        values="batch|layer|none",
    )
    critic_norm: str | None = setting(
        None, "Normalisation in a conv or resnet critic.", group="Recipe", values="layer|none|batch"
    )
    pack: int | None = setting(
        None, "Samples that the critic scores together (PacGAN).", parse=positive_int, group="Recipe"
    )
    latent_dim: int | None = setting(None, "Numbers in a latent vector.", parse=positive_int, group="Recipe")
    batch_size: int | None = setting(None, "Samples per step.", parse=positive_int, group="Recipe")
    critic_steps: int | None = setting(None, "Critic steps per generator step.", parse=positive_int, group="Recipe")
    optimizer: str | None = setting(None, "Optimiser of both networks.", group="Recipe", values="adam|rmsprop")
    generator_rate: float | None = setting(None, "Learning rate.", parse=positive_float, group="Recipe")
    critic_rate: float | None = setting(None, "Learning rate.", parse=positive_float, group="Recipe")
    beta1: float | None = setting(None, "Adam's first-moment decay.", parse=fraction, group="Recipe")
    beta2: float | None = setting(None, "Adam's second-moment decay.", parse=fraction, group="Recipe")
    schedule: str | None = setting(None, "Course of both rates.", group="Recipe", values="constant|inverse_sqrt|linear")
    schedule_steps: int | None = setting(
        None,
        "Generator steps until inverse_sqrt sets in, or until linear ends.",
        parse=positive_int,
        group="Recipe",
    )
    average_half_life: float | None = setting(
        None,
        "Longest half-life of the averaged generator, in samples; 0 for none.",
        parse=not_negative,
        group="Recipe",
    )
    average_ramp: float | None = setting(
        None,
        "Longest half-life of the averaged generator, as a share of the samples seen so far.",
        parse=positive_float,
        group="Recipe",
    )

    steps: int | None = setting(None, "Generator steps in all.", parse=positive_int, group="Run")
    budget: float | None = setting(
        None,
        "Time in all, such as 20s, 10m, 2h (5m if neither this nor --steps is given).",
        parse=parse_budget,
        group="Run",
        values="TIME",
    )
    seed: int = setting(0, "Of the weights, the held-out rows and all randomness.", parse=whole_number, group="Run")
    device: str = setting("auto", "Where to train.", group="Run", values="auto|cpu|cuda|cuda:N")
    precision: str = setting(
        "float32",
        "Of the passes through the networks; losses, norms and weights stay in float32. auto: bf16 for networks of "
        "more than half a million weights where the hardware has matrix units for it.",
        group="Run",
        values="auto|float32|bf16",
    )
    cuda_graphs: str = setting(
        "auto",
        "Record all steps of a turn as one CUDA graph and replay it. auto: on CUDA, where the networks allow it; on: "
        "or else stop.",
        group="Run",
        values="auto|on|off",
    )
    threads: int | None = setting(
        None,
        "CPU threads; by the size of a step unless given or OMP_NUM_THREADS is set.",
        parse=positive_int,
        group="Run",
    )
    tick_steps: int = setting(
        1000,
        "Longest distance between two ticks (log, checkpoint, preview).",
        parse=positive_int,
        group="Run",
    )
    w1_every: int | None = setting(
        None,
        "Bound W1 of generated against held-out samples, with certainty, at the first tick after every K steps.",
        parse=positive_int,
        group="Run",
        values="K",
    )
    on_divergence: str = setting(
        "stop",
        "When numbers stop being finite: stop, or go back to the last good checkpoint with a quarter of the rates.",
        group="Run",
        values="stop|rollback",
    )
    rollbacks: int = setting(3, "How often at most a run may go back.", parse=positive_int, group="Run")
    keep: int = setting(3, "Numbered checkpoints to keep.", parse=positive_int, group="Run")
    previews: bool = setting(True, "Write a sample grid at each tick.", group="Run", flag=True)
    tensorboard: bool | None = setting(
        None, "Write TensorBoard's event files (on if it is installed).", group="Run", flag=True
    )

    size: tuple[int, int] | None = setting(
        None, "Pictures: scale and centre-crop to this size.", parse=parse_size, group="Data", values="N|HxW"
    )
    colour: str = setting("auto", "Pictures: colours.", group="Data", values="auto|grey|rgb")
    skip_unreadable: bool = setting(False, "Pictures: count unreadable ones and go on.", group="Data", flag=True)
    key: str | None = setting(None, "Which array of a .npz.", group="Data")
    sheet: str | None = setting(None, "Which sheet of an Excel workbook; the first unless given.", group="Data")
    layout: str = setting(
        "auto",
        "Axes of an array; table: read Parquet, Arrow or Feather files of numbers as tables.",
        group="Data",
        values="auto|N|ND|NHW|NHWC|NCHW|table",
    )
    scale: str = setting(
        "auto",
        "Standardise the numbers of an array per channel, per feature (every pixel by itself) or all alike; auto: "
        "fields per channel, vectors per feature.",
        group="Data",
        values="auto|channel|feature|array",
    )
    missing: tuple[int | float, ...] | None = setting(
        None,
        "Arrays: values that stand for missing ones, such as -9999 (NaN does so anyway).",
        parse=parse_numbers,
        group="Data",
        values="X,X,...",
    )
    channels: tuple[str, ...] | None = setting(
        None,
        "Arrays: names of the channels or features, for figures and metrics.",
        parse=parse_names,
        group="Data",
        values="NAME,NAME,...",
    )
    schema: str | None = setting(
        None, "Tables: a JSON file that says what the columns are.", group="Data", values="FILE"
    )
    condition: tuple[str, ...] | None = setting(
        None,
        "What samples are drawn under: columns of a table, label of the digits, folder of pictures in folders, other "
        "arrays of a .npz.",
        parse=str,
        group="Data",
        values="NAME...",
        several=True,
    )
    labels: str | None = setting(
        None,
        "Conditions of pictures and arrays: .npy, IDX or a table with one row per sample.",
        group="Data",
        values="FILE",
    )
    heldout: float | None = setting(
        None, "Share of the samples never trained on (0.1; 0.2 of the digits).", parse=fraction, group="Data"
    )

    @property
    def usual_critic_activation(self) -> str | None:
        """What the critic's activation is where the settings leave it open, as those of older runs do.

        MaxMin keeps the slopes that orthogonal weights pass on; DCGAN's critic has leaky ReLUs.
        """
        if self.constraint == "orthogonal":
            return "maxmin"
        return self.activation if self.network == "mlp" else "leaky_relu"

    def to_json(self) -> str:
        """Indented JSON of all settings."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain JSON types, each held to the rule of its flag.

        Raises:
            UserError: a name that is no setting, or a value that its flag would not take.
        """
        known = {each.name for each in fields(cls)}
        for name in values:
            if name not in known:
                raise unknown_name("setting", name, sorted(known))
        return cls(**values).checked()

    def checked(self) -> Self:
        """The same in plain types, as a file holds them; each is held to the rule of its flag.

        Raises:
            UserError: names the setting and the value.
        """
        return replace(self, **{each.name: _checked(each, getattr(self, each.name)) for each in fields(self)})

    def located(self) -> Self:
        """The same with absolute paths, which mean the same from any folder."""
        data, labels, schema = map(absolute, (self.data, self.labels, self.schema))
        return replace(self, data=data or "", labels=labels, schema=schema)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Self:
        """A copy in which what was None is taken from `defaults`."""
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return replace(self, **missing)


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
        "Of standard output: csv, csv.gz, tsv or tsv.gz of tables, npy of all else; the first unless given.",
        group="Sampling",
        values="csv|csv.gz|tsv|tsv.gz|npy",
    )
    count: int | None = setting(
        None, "How many samples; as many as --given-rows holds, else 64.", parse=positive_int, group="Sampling"
    )
    given: tuple[str, ...] | None = setting(
        None,
        "Conditions that samples are drawn under, such as sex=Female age=40; others are drawn as they go with these.",
        group="Sampling",
        values="NAME=VALUE...",
        several=True,
    )
    given_rows: str | None = setting(
        None, "The same from a table: each row for one sample, in turn.", group="Sampling", values="FILE"
    )
    seed: int = setting(
        0,
        "Of the samples; a smaller count gives the first of a larger.",
        parse=whole_number,
        group="Sampling",
    )
    safe_csv: bool = setting(
        False,
        "Put an apostrophe before cells of text that spreadsheet programs would run as a formula (CSV and TSV).",
        group="Sampling",
        flag=True,
    )
    checkpoint: str = setting("latest", "Which weights.", group="Sampling", values="latest|best|STEP")
    device: str = setting("auto", "Where to draw.", group="Sampling", values="auto|cpu|cuda|cuda:N")


@dataclass(frozen=True)
class EvaluateSettings:
    """Settings of `evaluate`."""

    run: str = ""
    against: str | None = setting(
        None,
        "Judge against these data instead of the run's held-out samples; anything that `train` reads.",
        group="Evaluation",
        values="DATA",
    )
    sheet: str | None = setting(
        None,
        "Which sheet of an Excel workbook given to --against; the one that the run was trained on unless given.",
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
    checkpoint: str = setting("latest", "Which weights.", group="Evaluation", values="latest|best|STEP")
    data: str | None = setting(
        None, "Where the run's data lie now, if they were moved.", group="Evaluation", values="DATA"
    )
    out: str | None = setting(
        None,
        "Where metrics.json, pictures and page are written; into the run folder unless given.",
        group="Evaluation",
        values="FOLDER",
    )
    seed: int = setting(0, "Of the samples, directions, folds and subsamples.", parse=whole_number, group="Evaluation")
    device: str = setting("auto", "Where to draw and describe.", group="Evaluation", values="auto|cpu|cuda|cuda:N")


@dataclass(frozen=True)
class ExportSettings:
    """Settings of `export`."""

    run: str = ""
    format: str | None = setting(
        None, "What to write; the suffix of --out unless given.", group="Export", values="safetensors|onnx|pt2"
    )
    out: str | None = setting(None, "The file [generator.FORMAT in the run folder].", group="Export", values="FILE")
    checkpoint: str = setting("latest", "Which weights.", group="Export", values="latest|best|STEP")


@dataclass(frozen=True)
class LookSettings:
    """Settings of `look`."""

    run: str = ""
    out: str | None = setting(None, "Where to write [look in the run folder].", group="Look", values="FOLDER")
    count: int = setting(2000, "Generated rows or fields to compare.", parse=positive_int, group="Look")
    seed: int = setting(0, "Of the latents.", parse=whole_number, group="Look")
    checkpoint: str = setting("latest", "Which weights.", group="Look", values="latest|best|STEP")
    device: str = setting("auto", "Where to draw.", group="Look", values="auto|cpu|cuda|cuda:N")
