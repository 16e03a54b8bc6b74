"""A run in words, on one screen."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from wassergan.storage.tick_distance import distance_name, distance_of

MOST_NOTES = 4
WIDTH = 58  # of what stands beside the names
_OF_RECIPE = (
    *("objective", "batch_size", "critic_steps", "latent_dim", "generator_lr", "critic_lr", "penalty_weight"),
    *("optimizer", "pack", "augment", "condition", "weight", "seed", "init_from"),
)


def run_in_words(facts: Mapping[str, Any]) -> list[str]:
    """At most 24 lines of a run's summary: what it learns and how, how far it came, how good it is.

    Args:
        facts: as `run_summary` gives them.
    """
    settings, notes = facts["settings"], list(facts["notes"])
    lines = [
        _line("run", facts["run"]),
        _line("data", f"{facts['data'] or 'in memory'} ({facts['kind']})"),
        _line("preset", facts["preset"]),
        _line("constraint", facts["constraint"]),
        _line("network", facts["network"]),
        _line("steps", f"{facts['steps']}, {facts['seconds']:.1f} s of training{_asked(settings)}"),
    ]
    if distance_name(facts) in facts:
        label, value, floor = distance_of(facts)
        best = facts.get(f"best_{distance_name(facts)}")
        lines.append(_line("distance", f"{value:.4g}; {floor:.4g} between real samples, its floor ({label})"))
        if isinstance(best, float):
            lines.append(_line("best", f"{best:.4g} at step {facts['best_step']}"))
    recipe = {name: settings[name] for name in _OF_RECIPE if settings.get(name) not in (None, (), "")}
    chunks = _wrapped([f"{name} {_shown(value)}" for name, value in recipe.items()])
    lines += [_line("" if number else "recipe", chunk) for number, chunk in enumerate(chunks)]
    for note in notes[:MOST_NOTES]:  # whole under --all
        parts = wrap(note, WIDTH, max_lines=2, placeholder=" ...") or [""]
        lines += [_line("" if number else "note", part) for number, part in enumerate(parts)]
    if len(notes) > MOST_NOTES:
        lines.append(_line("", f"and {len(notes) - MOST_NOTES} more notes"))
    return [*lines, _line("", "--all: every setting and number; `evaluate` judges the run")]


def _asked(settings: Mapping[str, Any]) -> str:
    if settings.get("steps"):
        return f" of {settings['steps']} steps"
    return f" of {settings['budget']:g} s" if settings.get("budget") else ""


def _wrapped(words: list[str], width: int = WIDTH) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 2 <= width:
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines


def _line(name: str, value: object) -> str:
    return f"{name:<20} {value}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
