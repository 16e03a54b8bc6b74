import pytest
import torch
from torch import Tensor

from wassergan.distances import FAMILIES, CTransform
from wassergan.distances.critic_families import (
    CLUSTER_SAMPLES,
    FIXED_ATOMS,
    LEARNED_ATOMS,
    LEARNED_CLUSTERS,
    MORE_CLUSTERS,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sides(count: int = 4000, *, dim: int = 16) -> tuple[Tensor, Tensor]:
    rng = seeded()
    return torch.randn(count, dim, generator=rng) + 5.0, torch.randn(count, dim, generator=rng) - 5.0


def starts_of(name: str, real: Tensor, fake: Tensor) -> list[CTransform]:
    made = FAMILIES[name].starts(real, fake, seeded())
    assert all(isinstance(each, CTransform) for each in made)
    return made  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["atoms", "learned-atoms"])
def test_peaks_start_about_real_samples_and_bottoms_about_fake_ones(name: str) -> None:
    made = starts_of(name, *sides())
    assert {bool(each.peaks) for each in made} == {True, False}
    for each in made:
        # Every start keeps its side's mean of ±5, or drives it further out.
        middle = each.tips().mean(0)
        assert ((middle > 4.8) if each.peaks else (middle < -4.8)).all()
        assert each.atoms.requires_grad == (name == "learned-atoms")


def test_fixed_atoms_start_on_samples_in_place_and_on_clusters_with_a_spread() -> None:
    real, fake = sides()
    made = starts_of("atoms", real, fake)
    on_samples = [each for each in made if len(each.atoms) == FIXED_ATOMS]
    assert len(on_samples) == 4 and not any(each.log_spread.requires_grad for each in on_samples)
    # The first are samples themselves.
    apart = torch.cdist(on_samples[0].atoms.detach(), real, compute_mode="donot_use_mm_for_euclid_dist")
    assert apart.amin(1).max() < 1e-5
    clusters = [each for each in made if each.log_spread.requires_grad]
    assert len(clusters) == 2 and all(len(each.atoms) == 16 for each in clusters)


@pytest.mark.parametrize("peaks", [True, False])
def test_further_starts_keep_the_side_of_the_best(peaks: bool) -> None:
    real, fake = sides()
    best = CTransform(real[:3] if peaks else fake[:3], peaks=peaks)
    fixed = FAMILIES["atoms"].more_starts(best, real, fake, seeded())
    assert [len(each.atoms) for each in fixed] == [count for count, _ in MORE_CLUSTERS]  # type: ignore[arg-type]
    (learned,) = FAMILIES["learned-atoms"].more_starts(best, real, fake, seeded())
    for each in (*fixed, learned):
        assert isinstance(each, CTransform) and bool(each.peaks) == peaks and each.log_spread.requires_grad
        assert ((each.tips() > 0) if peaks else (each.tips() < 0)).float().mean() > 0.95
    # As many spare atoms as clusters; the atoms learn here and only here.
    assert len(learned.atoms) == 2 * LEARNED_CLUSTERS[0] <= LEARNED_ATOMS  # type: ignore[arg-type]
    assert learned.atoms.requires_grad and not any(each.atoms.requires_grad for each in fixed)  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "dim", "fixed", "learned"), [(CLUSTER_SAMPLES * 16 - 1, 8, 4, 6), (4000, 7, 2, 2)])
def test_few_samples_start_no_clusters_and_low_dimension_samples_alone(
    count: int, dim: int, fixed: int, learned: int
) -> None:
    real, fake = sides(count, dim=dim)
    assert len(starts_of("atoms", real, fake)) == fixed and len(starts_of("learned-atoms", real, fake)) == learned
    best = CTransform(real[:1])
    assert FAMILIES["atoms"].more_starts(best, real, fake, seeded()) == []
    assert FAMILIES["learned-atoms"].more_starts(best, real, fake, seeded()) == []


def test_networks_have_one_start_and_nothing_to_try() -> None:
    real, fake = sides(100)
    (start,) = FAMILIES["orthogonal"].starts(real, fake, seeded())
    assert FAMILIES["orthogonal"].more_starts(start, real, fake, seeded()) == []
