"""Generators and critics, sized by the shape of the sample."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from wassergan.errors import UserError, parameter, unknown_name
from wassergan.networks.checks import Critic, check_critic, check_generator, critic_given, evaluating
from wassergan.networks.conv import TRANSPOSED, UPSAMPLINGS, ConvCritic, ConvGenerator
from wassergan.networks.density_head import DensityHead
from wassergan.networks.given import GivenCritic, GivenGenerator
from wassergan.networks.heads import Bounded, Partial
from wassergan.networks.kept_cells import KeptCells
from wassergan.networks.margins import Matched, QuantileMapped, matched
from wassergan.networks.mlp import MLPCritic, MLPGenerator
from wassergan.networks.projection import ProjectionCritic
from wassergan.networks.residual import ResidualGenerator
from wassergan.networks.resnet import ResNetCritic, ResNetGenerator
from wassergan.networks.series import CausalGenerator, RecurrentGenerator, SeriesCritic
from wassergan.networks.series_density import Continued, SeriesDensityGenerator
from wassergan.networks.table_head import TableHead
from wassergan.networks.tabular import TabularGenerator
from wassergan.networks.volumes import Phases, VolumeCritic, VolumeGenerator

__all__ = [
    "CONCAT",
    "NETWORKS",
    "PROJECTION",
    "Bounded",
    "CausalGenerator",
    "Continued",
    "ConvCritic",
    "ConvGenerator",
    "Critic",
    "DensityHead",
    "GivenCritic",
    "GivenGenerator",
    "KeptCells",
    "MLPCritic",
    "MLPGenerator",
    "Matched",
    "Partial",
    "Phases",
    "ProjectionCritic",
    "QuantileMapped",
    "RecurrentGenerator",
    "ResNetCritic",
    "ResNetGenerator",
    "ResidualGenerator",
    "SeriesCritic",
    "SeriesDensityGenerator",
    "TableHead",
    "TabularGenerator",
    "VolumeCritic",
    "VolumeGenerator",
    "build_networks",
    "check_critic",
    "check_generator",
    "critic_given",
    "evaluating",
    "matched",
]

NETWORKS = ("mlp", "residual", "conv", "resnet", "recurrent")
CONCAT, PROJECTION = "concat", "projection"  # how critics are told conditions


def build_networks(
    kind: str,
    shape: tuple[int, ...],
    *,
    head: nn.Module,
    latent_dim: int,
    generator_widths: Sequence[int],
    critic_widths: Sequence[int],
    maps: int,
    activation: str,
    critic_activation: str,
    generator_norm: str,
    critic_norm: str,
    seed: int,
    context_shape: tuple[int, ...] = (),
    critic_condition: str = CONCAT,
    upsampling: str = TRANSPOSED,
    pack: int = 1,
    generator_maps: int | None = None,
    sequence_width: int = 0,
    likelihood: float = 0.0,
    past_noise: float = 0.0,
) -> tuple[nn.Module, nn.Module]:
    """A generator and a critic for samples of a shape; the same seed gives the same weights.

    Args:
        kind: `mlp`, `residual` (whose critic is an `mlp`'s), `conv`, `resnet` or, for series, `recurrent` (whose critic
            is a `conv`'s).
        shape: one sample in model space, (C, D, H, W), (C, H, W), (C, T) or (D,).
        head: the generator's last map, into the range of the data; a `TableHead` takes noise from the latent vector.
        latent_dim: numbers in a latent vector, without a head's noise.
        generator_widths: hidden widths of an `mlp` or `residual` generator.
        critic_widths: hidden widths of their critic.
        maps: maps of the first convolution (`conv`) or of every block (`resnet`), numbers in a `recurrent` state.
        activation: of an `mlp` or `residual` generator: `leaky_relu`, `silu` or `maxmin`.
        critic_activation: of an `mlp`, `residual` or `conv` critic: the same.
        generator_norm: `layer` or `none`, and for `conv` and `resnet` also `batch`.
        critic_norm: of `conv` and `resnet`: `layer`, `none` or `batch`.
        seed: of the initial weights; the global random state is not changed.
        context_shape: of the condition of a sample: (k,) numbers, or a field (C, H, W); its numbers come before the
            latent vector. `conv` and `resnet` generators of pictures refine a field, whose grid may be another.
        critic_condition: how a critic is told conditions: `concat`, as numbers or channels beside the sample, or
            `projection` (see `ProjectionCritic`), a `conv` critic of conditions that are no fields.
        upsampling: of a `conv` generator of pictures or fields: `transposed` or `nearest` (see `NearestUp`).
        pack: samples that the critic scores together (see `training.packed`).
        generator_maps: the same for the generator alone, before its last layer; None for as many.
        sequence_width: numbers of the state by which the columns of a `TableHead` follow those before them; 0 draws
            all at once.
        likelihood: above 0, the columns of a table are drawn from densities, with `sequence_width` hidden numbers each;
            so are the steps of series by a `conv` generator.
        past_noise: on the past that a likelihood of series is given (see `SeriesDensityGenerator`).

    Raises:
        UserError: an unknown name, or a shape that the network does not support.
    """
    drawing, head = (head, nn.Identity()) if isinstance(head, TableHead) else (None, head)
    context_dim = math.prod(context_shape) if context_shape else 0
    is_projected = _is_projected(critic_condition)
    inputs, scored = latent_dim + context_dim, (pack * shape[0], *shape[1:])
    told = 0 if is_projected else pack * context_dim
    made: dict[str, Any] = {"head": head, "norm": generator_norm}
    made_maps = generator_maps or maps
    generator: nn.Module
    critic: nn.Module
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if drawing is not None and likelihood:
            if not sequence_width:
                raise UserError(
                    "A likelihood needs hidden numbers for every column",
                    found=parameter("sequence_width", 0),
                    hint=f"give some, or leave {parameter('likelihood')} out",
                )
            drawing = DensityHead(drawing.layouts, width=sequence_width, kept=drawing.kept)
        elif drawing is not None and sequence_width:
            drawing.draw_in_sequence(sequence_width)
        made_shape = shape if drawing is None else (drawing.raw_width,)
        match kind:
            case "mlp" | "residual":
                fully_connected = MLPGenerator if kind == "mlp" else ResidualGenerator
                generator = fully_connected(inputs, made_shape, widths=generator_widths, activation=activation, **made)
                critic = MLPCritic(scored, widths=critic_widths, activation=critic_activation, context_dim=told)
            case "conv" | "recurrent" if kind == "recurrent" or len(shape) == 2:
                in_time: Any = CausalGenerator if kind == "conv" else RecurrentGenerator
                in_time = SeriesDensityGenerator if kind == "conv" and likelihood else in_time
                generator = in_time(inputs, shape, maps=made_maps, **made)
                critic = SeriesCritic(
                    scored, maps=maps, norm=critic_norm, activation=critic_activation, context_dim=told
                )
            case "conv" | "resnet" if len(shape) == len(context_shape) == 3:
                generator = GivenGenerator(latent_dim, shape, context_shape, maps=made_maps, **made)
                further = {"maps": maps, "norm": critic_norm}
                further |= {"activation": critic_activation} if kind == "conv" else {}
                critic = GivenCritic(kind, scored, (pack * context_shape[0], *context_shape[1:]), further=further)
            case "conv" if len(shape) == 4:
                generator = VolumeGenerator(inputs, shape, maps=made_maps, **made)
                critic = VolumeCritic(
                    scored, maps=maps, norm=critic_norm, activation=critic_activation, context_dim=told
                )
            case "conv":
                generator = ConvGenerator(inputs, shape, maps=made_maps, upsampling=upsampling, **made)
                critic = ConvCritic(scored, maps=maps, norm=critic_norm, activation=critic_activation, context_dim=told)
            case "resnet":
                generator = ResNetGenerator(inputs, shape, maps=made_maps, **made)
                critic = ResNetCritic(scored, maps=maps, norm=critic_norm, context_dim=told)
            case _:
                raise unknown_name("network", kind, NETWORKS)
        _require_upsampling(upsampling, generator, kind)
        _blur(generator, past_noise)
        if is_projected:
            critic = _projected(critic, pack * context_dim, kind)
    return generator if drawing is None else TabularGenerator(generator, drawing), critic


def _require_upsampling(name: str, generator: nn.Module, kind: str) -> None:
    """Refuse a name that is not known, and one that a generator makes nothing of."""
    if name not in UPSAMPLINGS:
        raise unknown_name("upsampling", name, UPSAMPLINGS)
    if name != TRANSPOSED and not isinstance(generator, ConvGenerator):
        raise UserError(
            f"{parameter('upsampling', name)} is for conv generators of pictures or fields",
            found=parameter("network", kind) if kind != "conv" else "series, volumes, or fields as conditions",
            hint="leave it out",
        )


def _blur(generator: nn.Module, past_noise: float) -> None:
    """Set the noise on the past, and refuse it where a generator makes nothing of it."""
    if isinstance(generator, SeriesDensityGenerator):
        generator.past_noise = past_noise
    elif past_noise:
        raise UserError(
            f"{parameter('past_noise', past_noise)} is for series that are drawn from densities, step by step",
            hint=f"leave it out, or draw series so: {parameter('network', 'conv')} and {parameter('likelihood', 1.0)}",
        )


def _is_projected(critic_condition: str) -> bool:
    if critic_condition not in (CONCAT, PROJECTION):
        raise unknown_name("way to tell a critic conditions", critic_condition, (CONCAT, PROJECTION))
    return critic_condition == PROJECTION


def _projected(critic: nn.Module, told: int, kind: str) -> ProjectionCritic:
    """The critic, told conditions of so many numbers in its last layer."""
    found = ProjectionCritic.around(critic, told) if told else None
    if found is None:
        what = "conditions that are fields" if isinstance(critic, GivenCritic) else parameter("network", kind)
        raise UserError(
            f"{parameter('critic_condition', PROJECTION)} is for conv critics of samples under numbers or labels",
            found=what if told else "no conditions",
            hint=f"leave it out, or use {parameter('critic_condition', CONCAT)}",
        )
    return found
