"""What a trainer is told beside networks, data and losses: small groups, each with its usual values."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import torch

from wassergan.constraints import Constraint, get_constraint
from wassergan.errors import UserError, parameter, unknown_name
from wassergan.objectives import Objective, get_objective
from wassergan.training.cuda_graphs import GraphRecorder
from wassergan.training.distributed import DistributedContext
from wassergan.training.optimizers import OptimizerSettings
from wassergan.training.turn import Due

ADAM = OptimizerSettings()
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Batching:
    """How many samples and steps there are between two steps of the generator: see `Trainer`.

    Raises:
        UserError: a number below 1 or not whole.
    """

    batch_size: int
    critic_steps: int = 1
    penalty_every: int = 1
    pack: int = 1
    share_fakes: bool = False

    def __post_init__(self) -> None:
        counts = {name: value for name, value in vars(self).items() if name != "share_fakes"}
        for name, value in counts.items():
            if not isinstance(value, Integral) or value < 1:
                raise UserError(f"The trainer's {name} must be a whole number of at least 1", found=f"{value}")

    def penalties_due(self, step: int) -> Due:
        """For each critic step before the generator's step of a number, whether the penalty acts on it."""
        first = step * self.critic_steps
        return tuple(number % self.penalty_every == 0 for number in range(first, first + self.critic_steps))

    def require_shards(self, processes: DistributedContext) -> None:
        """Refuse a batch that some processes cannot share, or whose shards cannot be cut into packs.

        Raises:
            UserError: says which it is.
        """
        processes.require_shares(self.batch_size)
        rows = self.batch_size // processes.count
        if rows % self.pack:
            raise UserError(
                "The batch cannot be cut into packs",
                found=f"{rows} samples per process in packs of {self.pack}",
                hint=f"choose a {parameter('batch_size')} that {parameter('pack')} divides",
            )


@dataclass(frozen=True)
class Optimization:
    """How both networks follow their gradients.

    Args:
        generator: its optimiser.
        critic: its optimiser.
        lr_factor: factor on both rates, by generator step.
    """

    generator: OptimizerSettings = ADAM
    critic: OptimizerSettings = ADAM
    lr_factor: Callable[[int], float] = lambda step: 1.0


@dataclass(frozen=True)
class Averaging:
    """The generator's average, which draws the samples: see `AveragedGenerator`.

    Args:
        half_life_samples: samples after which an old weight counts half; 0 for the live weights.
        ramp: share of the samples seen that bounds the half-life.

    Raises:
        UserError: a number below 0, or NaN.
    """

    half_life_samples: float = 500_000
    ramp: float = 0.05

    def __post_init__(self) -> None:
        for name, value in (("half-life", self.half_life_samples), ("ramp", self.ramp)):
            if not value >= 0:
                raise UserError(f"The {name} of the average must be at least 0", found=f"{value}")


@dataclass(frozen=True)
class Likelihood:
    """The likelihood of real samples that a generator follows beside the critic, where it has one.

    Args:
        weight: of the mean negative logarithm in the generator's loss; 0 leaves it out.
        steps: of the generator at first that follow it alone; the critic rests until then.

    Raises:
        UserError: a weight below 0, or steps without a weight.
    """

    weight: float = 0.0
    steps: int = 0

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise UserError("The weight of the likelihood must be at least 0", found=f"{self.weight}")
        if self.steps and not self.weight:
            raise UserError(
                "Steps cannot follow a likelihood that has no weight",
                found=parameter("likelihood_steps", self.steps),
                hint=f"leave it out, or give {parameter('likelihood')}",
            )

    def is_alone(self, step: int) -> bool:
        """Whether the generator's step of a number follows nothing else."""
        return step < self.steps


@dataclass(frozen=True)
class Execution:
    """How the steps are computed.

    Args:
        precision: `float32`, or `bf16` for the passes through the networks.
        recorder: records the steps and replays them; none to take them one by one.
        log: receives, in a sentence, why nothing is recorded; may raise.

    Raises:
        UserError: an unknown precision.
    """

    precision: str = "float32"
    recorder: GraphRecorder | None = None
    log: Callable[[str], None] = lambda sentence: None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)

    @property
    def dtype(self) -> torch.dtype:
        """The type of number that the passes are computed in."""
        return PRECISIONS[self.precision]


NO_LIKELIHOOD = Likelihood()
USUAL_OPTIMIZATION, USUAL_AVERAGING, USUAL_EXECUTION = Optimization(), Averaging(), Execution()


def by_name(objective: Objective | str, constraint: Constraint | str) -> tuple[Objective, Constraint]:
    """An objective and a constraint, where their names may stand for them.

    Raises:
        UserError: a name that is not known, or something else.
    """
    if isinstance(objective, str):
        objective = get_objective(objective)
    if isinstance(constraint, str):
        constraint = get_constraint(constraint)
    pairs: tuple[tuple[object, type], ...] = ((objective, Objective), (constraint, Constraint))
    for value, kind in pairs:
        if not isinstance(value, kind):
            name = kind.__name__.lower()
            raise UserError(
                f"{parameter(name)} takes {'an' if name[0] in 'aeiou' else 'a'} {kind.__name__} or the name of one",
                found=f"{value!r}",
                hint='for a critic without one, constraint="none"' if value is None and kind is Constraint else "",
            )
    return objective, constraint


def require_lipschitz(objective: Objective, constraint: Constraint) -> None:
    """Refuse a constraint that leaves the critic free under an objective that then has no maximum.

    Raises:
        UserError: names the constraints that will do.
    """
    if objective.needs_lipschitz and not constraint.lipschitz:
        raise UserError(
            f"The {objective.name} objective needs a Lipschitz critic: unconstrained, it has no maximum",
            hint=f"use {parameter('constraint', 'lp')}, gp, sn, orthogonal or clip",
        )
