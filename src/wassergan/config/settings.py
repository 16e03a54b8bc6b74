"""Settings of `train`: as the user gave them, and resolved; flags, JSON, help and documentation come from them."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from wassergan.config.data import DataSettings, Origin
from wassergan.config.recipe import Recipe, RecipeChoices
from wassergan.config.run import RunSettings
from wassergan.config.setting import held_to_rule
from wassergan.errors import UserError, unknown_name

# Settings that a resumed run may change: how long it goes on, where its files lie now, and what it writes; and those of
# the machine and of the pace, after which the numbers are other ones than those of a run that was never stopped.
BIT_CHANGING = ("device", "threads", "precision", "batch_size", "generator_lr", "critic_lr")
CHANGEABLE = (
    *("steps", "budget", "data", "labels", "schema", "condition_array", "tick_steps", "w1_every", "keep", "previews"),
    "tensorboard",
    *("on_divergence", "rollbacks", "cuda_graphs", *BIT_CHANGING),
)

FORMER_NAMES = {"critic_rate": "critic_lr", "generator_rate": "generator_lr"}


@dataclass(frozen=True)
class TrainSettings(DataSettings, RunSettings, RecipeChoices, Origin):
    """Settings of `train` as the user gave them; of the recipe, None is left to the preset."""

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
        require_present_names(values)
        for name in values:
            if name not in known:
                raise unknown_name("setting", name, sorted(known))
        return cls(**values).checked()

    def checked(self) -> Self:
        """The same in plain types, as a file holds them; each is held to the rule of its flag.

        Raises:
            UserError: names the setting and the value.
        """
        return replace(self, **{each.name: held_to_rule(each, getattr(self, each.name)) for each in fields(self)})

    def with_defaults(self, defaults: Mapping[str, Any]) -> Self:
        """A copy in which what was None is taken from `defaults`."""
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return replace(self, **missing)


def require_present_names(values: Collection[str]) -> None:
    """Refuse settings under names that they had before.

    Raises:
        UserError: names them all, with their names now.
    """
    if former := [name for name in FORMER_NAMES if name in values]:
        raise UserError(
            "These settings are those of an earlier version of wassergan",
            found=", ".join(f"{name} is {FORMER_NAMES[name]} now" for name in former),
            hint="train anew, or go on with the version that wrote them",
        )


@dataclass(frozen=True)
class ResolvedSettings(DataSettings, RunSettings, Recipe, Origin):
    """Settings of `train` with which a run trains: of the recipe nothing is open."""

    @classmethod
    def of(cls, settings: TrainSettings) -> Self:
        """Settings of which the recipe is complete, but for what older runs do not know and follows from the rest.

        Raises:
            UserError: names what is open.
        """
        usual = {"critic_activation": settings.usual_critic_activation, "generator_maps": settings.maps}
        older: dict[str, Any] = {"augment": "none", "mirror": False, "share_fakes": False, "sequence_width": 0}
        older |= {
            "penalty_on": "samples",
            "critic_condition": "concat",
            "upsampling": "transposed",
            "equalized_lr": False,
            "overshoot": 1.0,
            "match_margins": False,
            "likelihood": 0.0,
            "likelihood_steps": 0,
            "two_point": 0.0,
            "past_noise": 0.0,
        }
        settings = settings.with_defaults({**usual, **older})
        for each in fields(Recipe):
            if getattr(settings, each.name) is None:
                raise UserError(f"The setting {each.name} is open")
        return cls(**{each.name: getattr(settings, each.name) for each in fields(cls)})

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Resolved settings from plain JSON types, each held to the rule of its flag.

        Raises:
            UserError: a name that is no setting, a value that its flag would not take, or an open setting.
        """
        return cls.of(TrainSettings.from_mapping(values))


AnySettings = TrainSettings | ResolvedSettings
