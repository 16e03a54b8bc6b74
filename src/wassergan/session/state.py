"""What a checkpoint holds, typed; the one place that knows how it lies in a file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from wassergan.config.settings import ResolvedSettings, require_present_names
from wassergan.data import (
    AnyCodec,
    AnyConditions,
    Source,
    codec_from_state,
    conditions_from_state,
    context_shape,
)
from wassergan.errors import UserError
from wassergan.storage.checkpoint import another_checkpoint, load_checkpoint
from wassergan.storage.tick_distance import VECTORS, distance_name

OF_RUNS = ("best", "rollbacks")  # entries of a run's checkpoint alone: a fit keeps a history of its own


@dataclass(frozen=True)
class Best:
    """The tick with the smallest distance from held-out samples so far; `metric` is the distance's key in the log."""

    distance: float = float("inf")
    step: int = 0
    metric: str = VECTORS

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """As a checkpoint holds it; older ones held sliced W1 of vectors, whatever the data."""
        if VECTORS in content:
            return cls(content[VECTORS], content["step"])
        return cls(**content)

    def beaten_by(self, record: Mapping[str, Any]) -> bool:
        """Whether a tick is nearer to the held-out samples; distances of different kinds do not compare."""
        name = distance_name(record)
        return bool(name != self.metric or record[name] < self.distance)


@dataclass(frozen=True)
class CheckpointState:
    """The state of a run or a fit, from which samples are drawn and training goes on.

    Args:
        settings: resolved.
        shape: of a sample in model space.
        kind: of the source.
        codec_state: what `codec` is made of.
        conditions_state: what `conditions` are made of, if there are any.
        fingerprint: of the data.
        trainer: the trainer's `state_dict`.
        notes: on the data.
        best: of a run.
        rollbacks: of a run, in order.
    """

    settings: ResolvedSettings
    shape: tuple[int, ...]
    kind: str
    codec_state: Mapping[str, Any]
    conditions_state: Mapping[str, Any] | None
    fingerprint: Mapping[str, Any]
    trainer: dict[str, Any]
    notes: tuple[str, ...] = ()
    best: Best = field(default_factory=Best)
    rollbacks: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(
        cls,
        settings: ResolvedSettings,
        source: Source,
        trainer: dict[str, Any],
        *,
        fingerprint: Mapping[str, Any],
        best: Best | None = None,
        rollbacks: tuple[dict[str, Any], ...] = (),
    ) -> Self:
        """The state of a training on a source."""
        return cls(
            settings=settings,
            shape=tuple(source.shape),
            kind=source.kind,
            codec_state=source.codec.state(),
            conditions_state=source.conditions.state() if source.conditions else None,
            fingerprint=fingerprint,
            trainer=trainer,
            notes=tuple(source.notes),
            best=best or Best(),
            rollbacks=rollbacks,
        )

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `content`; what older runs did not note is empty.

        Raises:
            UserError: the settings are not those of a run.
            KeyError, TypeError, ValueError: the content is not that of a checkpoint.
        """
        return cls(
            settings=_settings(content["settings"]),
            shape=tuple(content["shape"]),
            kind=content["kind"],
            codec_state=content["codec"],
            conditions_state=content["conditions"],
            fingerprint=content["fingerprint"],
            trainer=content["trainer"],
            notes=tuple(content.get("notes", ())),
            best=Best.of(content["best"]),
            rollbacks=tuple(content.get("rollbacks", ())),
        )

    @classmethod
    def from_fit(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `content_of_fit`; raises as `from_content` does."""
        return cls.from_content({**content, "best": {}})

    def content(self) -> dict[str, Any]:
        """Tensors and plain types, for a run's checkpoint."""
        return {
            "settings": asdict(self.settings),
            "shape": list(self.shape),
            "kind": self.kind,
            "codec": self.codec_state,
            "conditions": self.conditions_state,
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
            "best": asdict(self.best),
            "rollbacks": list(self.rollbacks),
            "trainer": self.trainer,
        }

    def content_of_fit(self) -> dict[str, Any]:
        """Tensors and plain types, for the file of an estimator."""
        return {name: value for name, value in self.content().items() if name not in OF_RUNS}

    @property
    def codec(self) -> AnyCodec:
        """The way back to the user's units, made anew."""
        return codec_from_state(self.codec_state)

    @property
    def conditions(self) -> AnyConditions | None:
        """What samples are drawn under, made anew."""
        return conditions_from_state(self.conditions_state) if self.conditions_state else None

    @property
    def context_shape(self) -> tuple[int, ...]:
        """Of a condition; () where there are none."""
        return context_shape(self.conditions)

    @property
    def step(self) -> int:
        """Generator steps so far."""
        step: int = self.trainer["step"]
        return step

    @property
    def seconds(self) -> float:
        """Time spent in steps so far."""
        seconds: float = self.trainer["seconds"]
        return seconds

    @property
    def average(self) -> dict[str, Any]:
        """Weights of the averaged generator."""
        weights: dict[str, Any] = self.trainer["average"]
        return weights

    @property
    def critic(self) -> dict[str, Any]:
        """Weights of the critic."""
        weights: dict[str, Any] = self.trainer["critic"]
        return weights

    def with_average(self, weights: Mapping[str, Any]) -> Self:
        """The same with other weights of the averaged generator."""
        return replace(self, trainer={**self.trainer, "average": weights})


def step_in(path: Path) -> int | None:
    """The step of the checkpoint in a file; None where there is none, or a damaged one."""
    try:
        step = load_checkpoint(path)["trainer"]["step"]
    except (UserError, KeyError, TypeError):  # whoever asks for the checkpoint itself is told
        return None
    return step if isinstance(step, int) else None


def _settings(values: Mapping[str, Any]) -> ResolvedSettings:
    require_present_names(values)  # no other checkpoint of the run has others
    try:
        return ResolvedSettings.from_mapping(values)
    except UserError as error:
        raise UserError(
            "The checkpoint holds settings that no run has", found=str(error), hint=another_checkpoint()
        ) from error
