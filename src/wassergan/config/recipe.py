"""What a network is and how it learns: as far as the user says, and resolved."""

from dataclasses import dataclass

from wassergan.config.parsing import (
    fraction,
    not_negative,
    overshoot,
    parse_widths,
    positive_float,
    positive_int,
    whole_number,
)
from wassergan.config.setting import setting


@dataclass(frozen=True)
class RecipeChoices:
    """What the user says of a recipe; None is left to the preset."""

    preset: str = setting(
        "default", "Named settings to start from.", group="Recipe", values="default|wgan|wgan-gp|sn-wgan"
    )

    objective: str | None = setting(
        None, "Loss functions.", group="Recipe", values="wasserstein|minimax|nonsaturating|hinge"
    )
    constraint: str | None = setting(
        None, "Lipschitz constraint of the critic.", group="Recipe", values="clip|gp|lp|r1r2|sn|orthogonal|none"
    )
    clip: float | None = setting(None, "Bound of weight clipping.", parse=positive_float, group="Recipe")
    penalty_weight: float | None = setting(None, "Weight of gp, lp and r1r2.", parse=positive_float, group="Recipe")
    penalty_every: int | None = setting(
        None,
        "Apply the penalty every N critic steps, with N times its weight.",
        parse=positive_int,
        group="Recipe",
    )
    penalty_on: str | None = setting(
        None,
        "What the penalty's gradient norms are taken by: the samples alone, or samples and conditions together.",
        group="Recipe",
        values="samples|both",
    )
    critic_condition: str | None = setting(
        None,
        "How the critic is told conditions: as channels beside the sample, or by the weights of its last layer.",
        group="Recipe",
        values="concat|projection",
    )
    network: str | None = setting(None, "Architecture.", group="Recipe", values="mlp|residual|conv|resnet|recurrent")
    generator_widths: tuple[int, ...] | None = setting(
        None, "Hidden widths of an mlp or residual generator.", parse=parse_widths, group="Recipe", values="W,W,..."
    )
    critic_widths: tuple[int, ...] | None = setting(
        None, "Hidden widths of its critic.", parse=parse_widths, group="Recipe", values="W,W,..."
    )
    maps: int | None = setting(
        None, "Feature maps of conv and resnet; state of recurrent.", parse=positive_int, group="Recipe"
    )
    generator_maps: int | None = setting(
        None, "Feature maps of the generator, if not as many as the critic's.", parse=positive_int, group="Recipe"
    )
    upsampling: str | None = setting(
        None,
        "How a conv generator of pictures or fields doubles a grid: with free kernels, or by nearest values and 3 x 3.",
        group="Recipe",
        values="transposed|nearest",
    )
    sequence_width: int | None = setting(
        None,
        "Numbers by which the columns of a table follow those drawn before them; 0 draws all columns at once.",
        parse=whole_number,
        group="Recipe",
    )
    likelihood: float | None = setting(
        None,
        "Weight of the likelihood of real rows or series, each column or step given those before it; 0 for none.",
        parse=not_negative,
        group="Recipe",
    )
    likelihood_steps: int | None = setting(
        None,
        "Generator steps at first that follow the likelihood alone, without the critic.",
        parse=whole_number,
        group="Recipe",
    )
    past_noise: float | None = setting(
        None,
        "Noise on the past that a likelihood of series is given, as a share of what it leaves open of each number.",
        parse=not_negative,
        group="Recipe",
    )
    two_point: float | None = setting(
        None,
        "Weight of the two-point statistics of samples on a grid, which the generator is led to beside the critic; "
        "0 for none.",
        parse=not_negative,
        group="Recipe",
    )
    activation: str | None = setting(None, "Activation of an mlp.", group="Recipe", values="leaky_relu|silu|maxmin")
    critic_activation: str | None = setting(
        None,
        "Activation of an mlp or conv critic (maxmin with orthogonal; else {activation} or, in a conv, leaky_relu).",
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
    augment: str | None = setting(
        None,
        "Random changes of the real and fake pictures that the critic is given, all or some of: translate, cutout, "
        "color, mirror. auto (in the default recipe): the first three for a few thousand pictures or fewer.",
        group="Recipe",
        values="auto|none|NAME,NAME,...",
    )
    mirror: bool | None = setting(
        None,
        "Flip every other training picture left to right, so that flipped ones are drawn too.",
        group="Recipe",
        flag=True,
    )
    pack: int | None = setting(
        None, "Samples that the critic scores together (PacGAN).", parse=positive_int, group="Recipe"
    )
    latent_dim: int | None = setting(None, "Dimension of the latent vectors.", parse=positive_int, group="Recipe")
    batch_size: int | None = setting(None, "Samples per step.", parse=positive_int, group="Recipe")
    critic_steps: int | None = setting(None, "Critic steps per generator step.", parse=positive_int, group="Recipe")
    share_fakes: bool | None = setting(
        None,
        "Use the fakes of the last critic step for the generator's step too: one pass less.",
        group="Recipe",
        flag=True,
    )
    optimizer: str | None = setting(None, "Optimiser of both networks.", group="Recipe", values="adam|rmsprop")
    generator_lr: float | None = setting(None, "Learning rate.", parse=positive_float, group="Recipe")
    critic_lr: float | None = setting(None, "Learning rate.", parse=positive_float, group="Recipe")
    beta1: float | None = setting(None, "Adam's first-moment decay.", parse=fraction, group="Recipe")
    beta2: float | None = setting(None, "Adam's second-moment decay.", parse=fraction, group="Recipe")
    overshoot: float | None = setting(
        None,
        "How far beyond the range of the data a generator reaches for its ends, in half-widths of the range; 1: not.",
        parse=overshoot,
        group="Recipe",
    )
    match_margins: bool | None = setting(
        None,
        "Map each number of drawn samples (at most 3072; of series, each channel) to be distributed as in the data.",
        group="Recipe",
        flag=True,
    )
    equalized_lr: bool | None = setting(
        None,
        "Give every weight a rate in proportion to its initial size: 16 / √inputs times that of its network.",
        group="Recipe",
        flag=True,
    )
    schedule: str | None = setting(
        None, "Schedule of both learning rates.", group="Recipe", values="constant|inverse_sqrt|linear"
    )
    schedule_steps: int | None = setting(
        None,
        "Generator steps until inverse_sqrt starts, or until linear ends.",
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
        "Longest half-life of the averaged generator, as a fraction of the samples seen so far.",
        parse=positive_float,
        group="Recipe",
    )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe in which nothing is open; each field is explained by its namesake in `RecipeChoices`."""

    preset: str
    objective: str
    constraint: str
    clip: float
    penalty_weight: float
    penalty_every: int
    penalty_on: str
    critic_condition: str
    network: str
    generator_widths: tuple[int, ...]
    critic_widths: tuple[int, ...]
    maps: int
    generator_maps: int
    upsampling: str
    sequence_width: int
    likelihood: float
    likelihood_steps: int
    past_noise: float
    two_point: float
    activation: str
    critic_activation: str
    generator_norm: str
    critic_norm: str
    augment: str
    mirror: bool
    pack: int
    latent_dim: int
    batch_size: int
    critic_steps: int
    share_fakes: bool
    optimizer: str
    generator_lr: float
    critic_lr: float
    beta1: float
    beta2: float
    overshoot: float
    match_margins: bool
    equalized_lr: bool
    schedule: str
    schedule_steps: int
    average_half_life: float
    average_ramp: float
