"""Families of critics for W1: how each starts from samples alone, and what it is trained under."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint, constraint_named
from wassergan.distances.ctransform import CTransform
from wassergan.errors import unknown_name
from wassergan.networks import MLPCritic

# In units of the samples' spread. Adam moves a weight by about its rate at each step.
ATOM_RATE = 0.015
ATOM_TEMPERATURE = 0.2
FIXED_ATOMS = 2048
LEARNED_ATOMS = 1024
# In high dimension samples lie near a shell, far from where the cones' tips belong: atoms start on samples drawn
# towards their mean, and a short trial of each start on the validation split picks how far.
SHRINKAGES = (1.0, 0.5, 0.2)
ORTHOGONAL_WIDTHS = (256, 256, 256)
ORTHOGONAL_RATE = 1e-2
NETWORK_RATE = 1e-3


@dataclass(frozen=True)
class Family:
    """A kind of critic.

    Attributes:
        name: how to ask for it.
        starts: real and fake samples (n, d), (m, d) and a generator to fresh critics; the best of a short trial of
            each is trained.
        constraint: what it is trained under, by name.
        rate: Adam's learning rate at the start; it decays to 0.
        temperature: of a soft minimum at the start.
        heuristic: it has no useful certificate, so its value over the largest observed slope is shown beside.
    """

    name: str
    starts: Callable[[Tensor, Tensor, torch.Generator], list[nn.Module]]
    constraint: Callable[[], Constraint]
    rate: float
    temperature: float = 0.0
    heuristic: bool = False


def _cones(count: int, *, learned: bool) -> Callable[[Tensor, Tensor, torch.Generator], list[nn.Module]]:
    def starts(real: Tensor, fake: Tensor, rng: torch.Generator) -> list[nn.Module]:
        return [
            CTransform(_drawn_in(side, count, share, rng), peaks=peaks, learned=learned)
            for share in SHRINKAGES
            for side, peaks in ((real, True), (fake, False))
        ]

    return starts


def _drawn_in(samples: Tensor, count: int, share: float, rng: torch.Generator) -> Tensor:
    chosen = samples[torch.randperm(len(samples), generator=rng, device=rng.device)[:count].to(samples.device)]
    centre = samples.mean(0)
    return centre + share * (chosen - centre)


def _mlp(widths: Callable[[int], tuple[int, ...]], activation: str) -> Callable[..., list[nn.Module]]:
    def starts(real: Tensor, fake: Tensor, rng: torch.Generator) -> list[nn.Module]:
        dim = real.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=rng, device=rng.device)))
            return [MLPCritic((dim,), widths=widths(dim), activation=activation).to(real.device)]

    return starts


def _benchmark_widths(dim: int) -> tuple[int, ...]:
    """[D, H, H, 1] with H = max(2D, 128), the critic of Korotin, Kolesov, Burnaev 2022, arXiv 2206.07767."""
    return (max(2 * dim, 128),) * 2


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "atoms",
            _cones(FIXED_ATOMS, learned=False),
            lambda: constraint_named("none"),
            ATOM_RATE,
            ATOM_TEMPERATURE,
        ),
        Family(
            "learned-atoms",
            _cones(LEARNED_ATOMS, learned=True),
            lambda: constraint_named("none"),
            ATOM_RATE,
            ATOM_TEMPERATURE,
        ),
        Family(
            "orthogonal",
            _mlp(lambda dim: ORTHOGONAL_WIDTHS, "maxmin"),
            lambda: constraint_named("orthogonal"),
            ORTHOGONAL_RATE,
        ),
        *(
            Family(name, _mlp(_benchmark_widths, "leaky_relu"), make, NETWORK_RATE, heuristic=True)
            for name, make in (
                ("gp", lambda: constraint_named("gp")),
                ("lp", lambda: constraint_named("lp")),
                ("sn", lambda: constraint_named("sn")),
                ("clip", lambda: constraint_named("clip")),
            )
        ),
    )
}
CERTIFIED = tuple(family.name for family in FAMILIES.values() if not family.heuristic)


def family_named(name: str) -> Family:
    """Look up a family.

    Raises:
        UserError: the name is not known.
    """
    if name not in FAMILIES:
        raise unknown_name("family of critics", name, FAMILIES)
    return FAMILIES[name]
