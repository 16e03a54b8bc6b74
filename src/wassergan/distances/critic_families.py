"""Families of critics for W1: how each is initialised from samples, and its training constraint."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wassergan.constraints import Constraint, get_constraint
from wassergan.distances.arguments import check_names, shown
from wassergan.distances.clusters import soft_means
from wassergan.distances.ctransform import CTransform
from wassergan.errors import unknown_name
from wassergan.networks import MLPCritic

# In units of the samples' spread. Adam moves a weight by about the learning rate at each step.
ATOM_RATE = 0.015
ATOM_TEMPERATURE = 0.2
FIXED_ATOMS = 1024
LEARNED_ATOMS = 1024
# In high dimension, samples lie near a shell, far from where the cones' tips belong. So atoms may also start at samples
# drawn towards their mean, or at cluster means pushed away from it. A short trial of each on the validation split
# decides. In low dimension, samples are good starts; other starts would win short trials but not the long run.
SHRINKAGES = (1.0, 0.3)
LEARNED_SHRINKAGES = (1.0, 0.5, 0.2)
SHELL_DIMENSION = 8
FEW_CLUSTERS = (16, 2.0)  # and the factor that pushes their means from the origin at the start
LEARNED_CLUSTERS = (256, 2.5)
MORE_CLUSTERS = ((64, 2.0), (256, 2.0))
CLUSTER_SAMPLES = 8  # of each cluster at least; fewer do not make a mean
ORTHOGONAL_WIDTHS = (256, 256, 256)
ORTHOGONAL_RATE = 1e-2
NETWORK_RATE = 1e-3


def _no_more(best: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> list[nn.Module]:
    return []


@dataclass(frozen=True)
class Family:
    """A kind of critic.

    Attributes:
        name: its name for the caller.
        starts: maps real and fake samples (n, d), (m, d) and a generator to fresh critics; each gets a short trial, and
            the best is trained.
        constraint: the name of its training constraint.
        lr: Adam's learning rate at the start; it decays to 0.
        temperature: of the soft minimum at the start.
        more_starts: maps the best start so far, real and fake samples and a generator to further starts.
        heuristic: it has no useful certificate, so its gap over the largest observed gradient norm is reported as well.
    """

    name: str
    starts: Callable[[Tensor, Tensor, torch.Generator], list[nn.Module]]
    constraint: Callable[[], Constraint]
    lr: float
    temperature: float = 0.0
    more_starts: Callable[[nn.Module, Tensor, Tensor, torch.Generator], list[nn.Module]] = _no_more
    heuristic: bool = False


def _fixed_cones(real: Tensor, fake: Tensor, rng: torch.Generator) -> list[nn.Module]:
    return [
        start
        for side, peaks in ((real, True), (fake, False))
        for start in (
            *(CTransform(_drawn_in(side, FIXED_ATOMS, share, rng), peaks=peaks) for share in _shares(side, SHRINKAGES)),
            *_on_clusters(side, (FEW_CLUSTERS,), rng, peaks=peaks),
        )
    ]


def _learned_cones(real: Tensor, fake: Tensor, rng: torch.Generator) -> list[nn.Module]:
    return [
        CTransform(_drawn_in(side, LEARNED_ATOMS, share, rng), peaks=peaks, learned=True)
        for share in _shares(real, LEARNED_SHRINKAGES)
        for side, peaks in ((real, True), (fake, False))
    ]


def _more_fixed_cones(best: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> list[nn.Module]:
    """Cones at the means of more clusters, on the same side as the best start so far."""
    peaks = _side_of(best)
    return list(_on_clusters(real if peaks else fake, MORE_CLUSTERS, rng, peaks=peaks))


def _more_learned_cones(best: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator) -> list[nn.Module]:
    """Cones at cluster means, and spare cones near the middle for what the clusters missed."""
    peaks = _side_of(best)
    side = real if peaks else fake
    count, spread = LEARNED_CLUSTERS
    if not _clustered(side, count):
        return []
    spare = _drawn_in(side, count, LEARNED_SHRINKAGES[-1], rng)
    atoms = torch.cat([soft_means(side, count, rng=rng), spare])
    return [CTransform(atoms, peaks=peaks, learned=True, spread=spread)]


def _side_of(critic: nn.Module) -> bool:
    assert isinstance(critic, CTransform)
    return bool(critic.peaks)


def _on_clusters(
    side: Tensor, kinds: Iterable[tuple[int, float]], rng: torch.Generator, *, peaks: bool
) -> Iterator[CTransform]:
    for count, spread in kinds:
        if _clustered(side, count):
            yield CTransform(soft_means(side, count, rng=rng), peaks=peaks, spread=spread)


def _shares(side: Tensor, shares: tuple[float, ...]) -> tuple[float, ...]:
    return shares if side.shape[1] >= SHELL_DIMENSION else shares[:1]


def _clustered(side: Tensor, count: int) -> bool:
    """Whether that many cluster means are worth a trial."""
    return side.shape[1] >= SHELL_DIMENSION and len(side) >= CLUSTER_SAMPLES * count


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
            _fixed_cones,
            lambda: get_constraint("none"),
            ATOM_RATE,
            ATOM_TEMPERATURE,
            more_starts=_more_fixed_cones,
        ),
        Family(
            "learned-atoms",
            _learned_cones,
            lambda: get_constraint("none"),
            ATOM_RATE,
            ATOM_TEMPERATURE,
            more_starts=_more_learned_cones,
        ),
        Family(
            "orthogonal",
            _mlp(lambda dim: ORTHOGONAL_WIDTHS, "maxmin"),
            lambda: get_constraint("orthogonal"),
            ORTHOGONAL_RATE,
        ),
        *(
            Family(name, _mlp(_benchmark_widths, "leaky_relu"), make, NETWORK_RATE, heuristic=True)
            for name, make in (
                ("gp", lambda: get_constraint("gp")),
                ("lp", lambda: get_constraint("lp")),
                ("sn", lambda: get_constraint("sn")),
                ("clip", lambda: get_constraint("clip")),
            )
        ),
    )
}
CERTIFIED = tuple(family.name for family in FAMILIES.values() if not family.heuristic)


def get_families(names: Iterable[str] | str) -> list[Family]:
    """Look up some families, each once: names, or one comma-separated string.

    Raises:
        UserError: no names, or an unknown one.
    """
    found = {family.name: family for family in map(get_family, check_names(names, name="Families of critics"))}
    return list(found.values())


def get_family(name: str) -> Family:
    """Look up a family.

    Raises:
        UserError: the name is not known.
    """
    if not isinstance(name, str) or name not in FAMILIES:
        raise unknown_name("family of critics", name if isinstance(name, str) else shown(name), FAMILIES)
    return FAMILIES[name]
