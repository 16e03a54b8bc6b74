"""How long a run trains, where, and what it writes on the way."""

from dataclasses import dataclass

from wassergan.config.parsing import parse_budget, positive_int, whole_number
from wassergan.config.setting import setting


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run that are the same for every recipe."""

    steps: int | None = setting(None, "Total number of generator steps.", parse=positive_int, group="Run")
    budget: float | None = setting(
        None,
        "Total time, such as 20s, 10m, 2h (5m if neither this nor {steps} is given).",
        parse=parse_budget,
        group="Run",
        values="TIME",
    )
    seed: int = setting(
        0, "Seed of the weights, the held-out rows and all other randomness.", parse=whole_number, group="Run"
    )
    init_from: str | None = setting(
        None,
        "Start from the weights of another run, as far as the networks' layers have equal shapes; other data, "
        "conditions and sizes are possible.",
        group="Run",
        values="RUN",
    )
    device: str = setting("auto", "Device to train on.", group="Run", values="auto|cpu|cuda|cuda:N|mps")
    precision: str | None = setting(
        None,
        "Precision of the network passes; losses, norms and weights stay in float32. auto: bf16 for convolutions, and "
        "for others with more than half a million weights, where the hardware has matrix units for it. The default "
        "recipe for pictures takes auto, others float32.",
        group="Run",
        values="auto|float32|bf16",
    )
    cuda_graphs: str = setting(
        "auto",
        "Record the steps of an iteration as a CUDA graph and replay it. auto: on CUDA, if the networks allow it; on: "
        "stop if they do not.",
        group="Run",
        values="auto|on|off",
    )
    threads: int | None = setting(
        None,
        "CPU threads; chosen by the size of a step unless given or OMP_NUM_THREADS is set.",
        parse=positive_int,
        group="Run",
    )
    tick_steps: int = setting(
        1000,
        "Largest number of steps between two ticks (log, checkpoint, preview).",
        parse=positive_int,
        group="Run",
    )
    w1_every: int | None = setting(
        None,
        "Compute guaranteed bounds on W1 of generated against held-out samples at the first tick after every K steps.",
        parse=positive_int,
        group="Run",
        values="K",
    )
    on_divergence: str = setting(
        "stop",
        "On NaN or infinity: stop, or return to the last good checkpoint with a quarter of the learning rates.",
        group="Run",
        values="stop|rollback",
    )
    rollbacks: int = setting(3, "Largest number of rollbacks of a run.", parse=positive_int, group="Run")
    keep: int = setting(
        1, "Numbered checkpoints to keep; at least 2 where a run may go back.", parse=positive_int, group="Run"
    )
    previews: bool = setting(True, "Write a sample grid at each tick.", group="Run", flag=True)
    tensorboard: bool | None = setting(
        None, "Write TensorBoard's event files (on if it is installed).", group="Run", flag=True
    )
