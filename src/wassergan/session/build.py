"""Resolved settings to the things that they describe: source, networks, trainer, device, threads."""

import math
import os
import re
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import nn

from wassergan.config.settings import AnySettings, ResolvedSettings
from wassergan.constraints import Constraint, get_constraint
from wassergan.data import AnyCodec, Source, context_shape, open_source
from wassergan.data.series import form_of
from wassergan.errors import UserError, WasserganError, WorkError, parameter, unknown_name
from wassergan.modality import modality_of, modality_with
from wassergan.networks import PROJECTION, SeriesDensityGenerator, TableHead, build_networks, matched
from wassergan.networks.heads import reach_beyond
from wassergan.objectives import get_objective
from wassergan.storage.memory import largest_bytes
from wassergan.training import (
    SINGLE_PROCESS,
    Averaging,
    CudaRecorder,
    DistributedContext,
    Execution,
    Likelihood,
    Optimization,
    OptimizerSettings,
    Trainer,
    lr_schedule,
)
from wassergan.training.augment import augmentation_of

CONVOLUTIONAL = (
    "conv",
    "resnet",
    "recurrent",
)  # whose weights serve at every pixel: 16 maps take 0.6 of the time with AMX
SMALL_WEIGHTS = 500_000  # of fully connected layers: up to here bf16 gains little (docs/lab-notes.md)
ONE_THREAD_PRODUCTS = 64 * SMALL_WEIGHTS  # weights times samples: up to here a second thread gains little
LEAST_MOST_THREADS = 64  # on a machine of few cores
SIZES = ("latent_dim", "generator_widths", "critic_widths", "maps", "batch_size")  # of networks and batches
STATES_PER_WEIGHT = 6  # weight, gradient, two moments, average, and a copy to save
ALL_THREADS = torch.get_num_threads()  # torch's own choice, which knows of affinity

CUDA_GRAPHS = ("auto", "on", "off")


def open_data(
    settings: AnySettings,
    *,
    log: Callable[[str], None],
    data: str | None = None,
    like: Source | None = None,
    condition_array: str | None = None,
) -> Source:
    """The source that settings name, or other data read as they say: the one way in which a run's data are opened.

    Args:
        settings: of the run.
        log: receives, in a sentence, what was decided on the way.
        data: where the data lie, if not where the settings say.
        like: the run's own source, where `data` are other samples to be compared with it. Pictures are brought to its
            size and colours. Conditions and labels are those of the run's own samples and are not read.
        condition_array: the conditions of such other samples, where those of the run are an array.

    Raises:
        UserError: the data cannot be read or used.
    """
    return open_source(
        data or settings.data,
        size=settings.size,
        colour=settings.colour,
        skip_unreadable=settings.skip_unreadable,
        key=settings.key,
        sample_dim=settings.sample_dim,
        sheet=settings.sheet,
        layout=settings.layout,
        scale=settings.scale,
        missing=settings.missing or (),
        channels=settings.channels or (),
        schema=settings.schema,
        condition=() if like is not None else settings.condition or (),
        completion=like is None and settings.completion,
        labels=None if like is not None else settings.labels,
        condition_array=settings.condition_array if like is None else condition_array,
        condition_layout=settings.condition_layout if like is None or condition_array else "auto",
        weight=None if like is not None else settings.weight,
        series=settings.series,
        time=settings.time,
        window=settings.window,
        stride=settings.stride,
        crop=settings.crop,
        heldout=settings.heldout,
        seed=settings.seed,
        like=like,
        log=log,
    )


def networks_of(
    settings: ResolvedSettings,
    shape: tuple[int, ...],
    codec: AnyCodec,
    *,
    context_shape: tuple[int, ...] = (),
    device: str = "cpu",
) -> tuple[nn.Module, nn.Module]:
    """The generator and the critic that resolved settings describe, for samples of a shape under conditions.

    On the device `meta` they have shapes and no numbers; what the codec holds, in the head, is on the CPU all the same.
    """
    _require_told(settings)
    head = modality_with(codec).head(codec)
    reach_beyond(head, settings.overshoot)
    if settings.match_margins:
        head = _matched(head, shape, settings, codec, given=len(context_shape) > 1)
    with torch.device(device) if device != "cpu" else nullcontext():
        return build_networks(
            settings.network,
            shape,
            head=head,
            latent_dim=settings.latent_dim,
            generator_widths=settings.generator_widths,
            critic_widths=settings.critic_widths,
            maps=settings.maps,
            generator_maps=settings.generator_maps,
            sequence_width=settings.sequence_width,
            likelihood=settings.likelihood,
            past_noise=settings.past_noise,
            activation=settings.activation,
            critic_activation=settings.critic_activation,
            generator_norm=settings.generator_norm,
            critic_norm=settings.critic_norm,
            seed=settings.seed,
            context_shape=context_shape,
            critic_condition=settings.critic_condition,
            upsampling=settings.upsampling,
            pack=settings.pack,
        )


def _matched(
    head: nn.Module, shape: tuple[int, ...], settings: ResolvedSettings, codec: AnyCodec, *, given: bool
) -> nn.Module:
    """Refuse margins over all conditions where each condition has a distribution of its own, and of levels."""
    if given:
        raise UserError(
            f"{parameter('match_margins', True)} is not for samples that are drawn given others",
            hint="leave it out: their spread is set right on training rows that are kept back",
        )
    has_steps = settings.likelihood > 0 and len(shape) == 2
    if form_of(codec) is not None:
        raise UserError(
            f"{parameter('match_margins', True)} is for arrays, and not for series of a long table",
            hint="leave it out: a level of a column is no number that could be mapped",
        )
    return matched(head, shape, by_channel=has_steps and settings.network == "conv")


def _require_told(settings: ResolvedSettings) -> None:
    """Refuse weights that hang on a condition where the constraint is on the weights: their sums have other norms."""
    if settings.critic_condition == PROJECTION and settings.constraint in ("sn", "orthogonal"):
        raise UserError(
            f"{parameter('critic_condition', PROJECTION)} leaves the critic without a bound on its slope",
            found=parameter("constraint", settings.constraint),
            hint=f"leave it out, or choose {parameter('constraint', 'lp')}",
        )


def constraint_of(settings: ResolvedSettings) -> Constraint:
    """What keeps the critic of resolved settings Lipschitz."""
    return get_constraint(settings.constraint, clip=settings.clip, penalty_weight=settings.penalty_weight)


def latent_numbers(settings: ResolvedSettings, generator: nn.Module) -> int:
    """Numbers in a latent vector of a generator, with those by which it draws options, or step by step."""
    drawing = (TableHead, SeriesDensityGenerator)
    noise = sum(module.noise_dim for module in generator.modules() if isinstance(module, drawing))
    return settings.latent_dim + noise


def build_trainer(
    settings: ResolvedSettings,
    source: Source,
    processes: DistributedContext = SINGLE_PROCESS,
    *,
    log: Callable[[str], None] = lambda sentence: None,
) -> Trainer:
    """The trainer that resolved settings describe, on one of some processes; `log` receives what it cannot do."""
    _require_memory(settings, source)
    given = context_shape(source.context)
    generator, critic = networks_of(settings, source.shape, source.codec, context_shape=given)
    _set_threads(settings.threads, weight_count(generator, critic) * settings.batch_size)
    device = choose_device(settings.device, processes)
    colours = source.shape[0] if modality_of(source.kind).are_pictures else None
    augmentation = augmentation_of(settings.augment, mirror=settings.mirror, shape=source.shape, channels=colours)
    if augmentation.operations:
        log(
            f"Real and fake pictures are augmented alike ({', '.join(augmentation.operations)}): gap, penalty and "
            "gradient norms of the critic are of the augmented distributions."
        )
    return Trainer(
        generator,
        critic,
        source,
        objective=get_objective(settings.objective),
        constraint=constraint_of(settings),
        latent_dim=latent_numbers(settings, generator),
        batch_size=settings.batch_size,
        critic_steps=settings.critic_steps,
        penalty_every=settings.penalty_every,
        penalty_on=settings.penalty_on,
        pack=settings.pack,
        share_fakes=settings.share_fakes,
        likelihood=Likelihood(settings.likelihood, settings.likelihood_steps),
        two_point=settings.two_point,
        optimization=_optimization(settings),
        averaging=Averaging(settings.average_half_life, settings.average_ramp),
        execution=Execution(
            _precision(settings, device, generator, critic),
            recorder=_recorder(settings, device),
            log=_stop if settings.cuda_graphs == "on" else log,
        ),
        augmentation=augmentation,
        device=device,
        processes=processes,
        seed=settings.seed,
    )


def _require_memory(settings: ResolvedSettings, source: Source) -> None:
    """Refuse networks and batches that this machine cannot hold, before any of them is made.

    Raises:
        UserError: says how much they need.
    """
    if settings.pack > settings.batch_size:
        raise UserError(
            "The batch cannot be cut into packs",
            found=f"{settings.batch_size} samples in packs of {settings.pack}",
            hint=f"choose a {parameter('batch_size')} that {parameter('pack')} divides",
        )
    try:
        given = context_shape(source.context)
        networks = networks_of(settings, source.shape, source.codec, context_shape=given, device="meta")
    except (RuntimeError, OverflowError, MemoryError) as error:  # torch's own, of more numbers than can be counted
        if isinstance(error, WasserganError):
            raise
        raise UserError(
            "The networks do not fit in memory", found=str(error).splitlines()[0][:200], hint="give smaller sizes"
        ) from error
    # The batches of all critic steps are read before the first of them.
    sample = settings.latent_dim + (math.prod(given or (0,)) + source.shape_size) * settings.critic_steps
    batch = settings.batch_size * sample
    needed = 4 * (STATES_PER_WEIGHT * weight_count(*networks) + batch)
    if needed > 2 * largest_bytes():
        raise UserError(
            "The networks or their batches do not fit in memory",
            found=f"{needed / 2**30:,.0f} GiB or more are needed, {2 * largest_bytes() / 2**30:,.0f} GiB are there",
            hint=f"give a smaller {', '.join(map(parameter, SIZES))} or {parameter('critic_steps')}",
        )


def _recorder(settings: ResolvedSettings, device: torch.device) -> CudaRecorder | None:
    """What records the steps on a device, as far as the settings want it.

    Raises:
        UserError: an unknown wish, or graphs without a CUDA device.
    """
    if settings.cuda_graphs not in CUDA_GRAPHS:
        raise unknown_name("choice of CUDA graphs", settings.cuda_graphs, CUDA_GRAPHS)
    if settings.cuda_graphs == "on" and device.type != "cuda":
        raise UserError(
            "CUDA graphs need a CUDA device", found=f"{device}", hint=f"leave {parameter('cuda_graphs')} out"
        )
    return CudaRecorder(device) if device.type == "cuda" and settings.cuda_graphs != "off" else None


def _stop(sentence: str) -> None:
    raise WorkError(
        sentence.removesuffix("."), hint=f"leave {parameter('cuda_graphs', 'on')} out: steps are then taken one by one"
    )


def has_bf16_units(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 matrices in units of their own: AMX, or tensor cores from Ampere on."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    supported: Callable[[], bool] = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return supported()


def choose_device(name: str, processes: DistributedContext = SINGLE_PROCESS) -> torch.device:
    """`auto` is the first CUDA device if there is one; of several processes on a machine, each has its own.

    Raises:
        UserError: no such device, or too few of them.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise UserError("Unknown device", found=f"'{name}'", hint="use auto, cpu, cuda, cuda:N or mps")
    if name == "mps" and not device_is_here(name):
        raise UserError("There is no device mps", found="no GPU of Apple's that torch can use", hint="use cpu")
    if name != "cpu" and processes.local_count > 1:
        return _own_gpu(name, processes)
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"There is no device {name}", found=f"{torch.cuda.device_count()} CUDA devices", hint="use cpu")
    return device


def device_is_here(name: str) -> bool:
    """Whether this machine has a device of a known kind."""
    if name == "mps":
        return torch.backends.mps.is_available()
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    return match is None or int(match[1] or 0) < torch.cuda.device_count()


def _own_gpu(name: str, processes: DistributedContext) -> torch.device:
    if name != "cuda" or torch.cuda.device_count() < processes.local_count:
        raise UserError(
            f"{processes.local_count} processes on a machine need a GPU each",
            found=f"{parameter('device', name)}, {torch.cuda.device_count()} CUDA devices",
            hint=f"use {parameter('device', 'cuda')} and start as many processes as there are GPUs, or use "
            + parameter("device", "cpu"),
        )
    return torch.device("cuda", processes.local_rank)


def _optimization(settings: ResolvedSettings) -> Optimization:
    def optimizer(lr: float) -> OptimizerSettings:
        betas = {"beta1": settings.beta1, "beta2": settings.beta2}
        return OptimizerSettings(settings.optimizer, lr=lr, **betas, equalized=settings.equalized_lr)

    return Optimization(
        optimizer(settings.generator_lr),
        optimizer(settings.critic_lr),
        lr_factor=lr_schedule(settings.schedule, horizon_steps=settings.schedule_steps),
    )


def _precision(settings: ResolvedSettings, device: torch.device, *networks: nn.Module) -> str:
    """What `auto` stands for: bf16 for convolutions, and for others of some size, where it has units; else float32.

    A rule of hardware and sizes, not a measurement, so that equal seeds on equal machines give equal weights. Small
    products lose more time on conversions than they win; orthogonal weights are certified in full precision.
    """
    if settings.precision != "auto":
        return settings.precision or "float32"
    large = settings.network in CONVOLUTIONAL or weight_count(*networks) > SMALL_WEIGHTS
    return "bf16" if large and settings.constraint != "orthogonal" and has_bf16_units(device) else "float32"


def weight_count(*networks: nn.Module) -> int:
    """The trained numbers of some networks together."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def _set_threads(threads: int | None, products: int) -> None:
    """The user's number; else what OMP_NUM_THREADS says; else one thread for small steps, all cores for others.

    A rule of the sizes alone, not a measurement: another number of threads rounds differently, and equal seeds
    must give equal weights.

    Args:
        threads: what the user wants.
        products: weights times samples of a batch, the multiplications of a pass.
    """
    if threads is not None:
        most = max(LEAST_MOST_THREADS, 4 * (os.cpu_count() or 1))
        if threads > most:
            raise UserError(
                f"Too many {parameter('threads')}", found=f"{threads}", hint=f"give at most {most} on this machine"
            )
        torch.set_num_threads(threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1 if products <= ONE_THREAD_PRODUCTS else ALL_THREADS)
