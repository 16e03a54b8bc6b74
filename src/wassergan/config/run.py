"""How long a run trains, where, and what it writes on the way."""

from dataclasses import dataclass

from wassergan.config.parsing import parse_budget, positive_int, whole_number
from wassergan.config.setting import setting


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run that are the same for every recipe."""

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
