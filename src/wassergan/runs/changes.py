"""What may change when a run is resumed, and what that does to its numbers."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from wassergan.callbacks import Callback
from wassergan.config.settings import BIT_CHANGING, CHANGEABLE, ResolvedSettings, TrainSettings
from wassergan.errors import UserError, parameter, worded
from wassergan.session.build import device_is_here

# Why the others may not.
REASONS = {
    "Data": "what the run learns from",
    "Recipe": "what its networks, losses and optimisers are",
    "Run": "the randomness it began with",
}


def changes_of(settings: TrainSettings) -> dict[str, Any]:
    """What a user gave, as far as it differs from what is left open."""
    return {name: value for name, value in asdict(settings).items() if value != getattr(TrainSettings(), name)}


def with_changes(settings: ResolvedSettings, changes: Mapping[str, Any]) -> ResolvedSettings:
    """The settings with those changes that a resumed run may make.

    Raises:
        UserError: others; names each, and why it stays.
    """
    different = {
        name: (getattr(settings, name), value)
        for name, value in changes.items()
        if name not in CHANGEABLE and getattr(settings, name) != value
    }
    if different:
        lines = [
            f"{name}: the run has {had}, asked for {asked} ({_reason(name)})"
            for name, (had, asked) in different.items()
        ]
        those = worded(command_line="those flags", python="those")
        raise UserError(
            "A run can only be resumed with its own settings",
            found="; ".join(lines),
            hint=f"leave {those} out (only {', '.join(map(parameter, CHANGEABLE))} may change), or start a new run",
        )
    changed = {name: value for name, value in changes.items() if name in CHANGEABLE}
    # A new end replaces the old one: whoever asks for more steps does not want the old budget to cut them off.
    if "steps" in changed or "budget" in changed:
        changed = {"steps": None, "budget": None, **changed}
    return ResolvedSettings.from_mapping({**asdict(settings), **changed})


def _reason(name: str) -> str:
    """Why a setting stays."""
    group = next(each.metadata.get("group", "") for each in fields(TrainSettings) if each.name == name)
    return REASONS.get(group, REASONS["Recipe"])


def on_this_machine(settings: ResolvedSettings, changes: Mapping[str, Any], callback: Callback) -> ResolvedSettings:
    """A device that was asked for elsewhere, and is not here, gives way, unless it is asked for again."""
    if "device" in changes or device_is_here(settings.device):
        return settings
    callback.on_message(
        f"The run was trained on {settings.device}, which is not here; it goes on as "
        f"{parameter('device', 'auto')} has it."
    )
    return replace(settings, device="auto")


def say_what_differs(
    former: ResolvedSettings, settings: ResolvedSettings, callback: Callback, *, same_streams: bool
) -> None:
    """In one line, what makes the numbers others than those of a run that was never stopped."""
    had, has = asdict(former), asdict(settings)
    changed = [f"{parameter(name)} {had[name]} is now {has[name]}" for name in BIT_CHANGING if had[name] != has[name]]
    if not same_streams:
        changed.append("it was on another kind of device, whose random numbers cannot go on here")
    if changed:
        callback.on_message(
            f"From here on the numbers are not those of a run that was never stopped: {'; '.join(changed)}."
        )
