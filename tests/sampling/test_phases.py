"""Phases of generated volumes: how frequent they are, and how far that differs from one to another."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wassergan.data import open_source
from wassergan.data.volumes import VolumeCodec
from wassergan.data.volumes.fitting import deviations_of
from wassergan.networks import Phases
from wassergan.sampling import thresholds
from wassergan.sampling.phases import match_phases
from wassergan.training import sample_chunks

SIDE, LATENT = 8, 2


class Noisy(nn.Module):
    """Raw numbers of some planes: each voxel's own, and a level that all voxels of a sample share."""

    def __init__(self, planes: int, level: float) -> None:
        super().__init__()
        self.head, self.level = Phases(1, planes), level
        self.weight = nn.Parameter(torch.zeros(()))
        self.waves = torch.randn(LATENT, planes * SIDE**3, generator=torch.Generator().manual_seed(0))

    def forward(self, latent: Tensor) -> Tensor:
        """(n, 2) to (n, planes, 8, 8, 8)."""
        own = torch.sin(1000 * latent @ self.waves).unflatten(1, (self.head.planes, SIDE, SIDE, SIDE))
        shared = self.level * latent.repeat(1, self.head.planes)[:, : self.head.planes, None, None, None]
        made: Tensor = self.head(own + shared)
        return made


def shares_of(generator: nn.Module, phases: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """The share of each phase in each of 2000 samples, (2000, phases)."""
    made = torch.cat(list(sample_chunks(generator, 2000, latent_dim=LATENT, seed=9)))
    found = phases(made)
    return torch.stack([(found == each).double().mean((1, 2, 3)) for each in range(count)], 1)


@pytest.mark.parametrize("target", [0.03, 0.08, 0.2])
def test_shares_of_two_phases_come_to_differ_as_they_should(target: float) -> None:
    generator = Noisy(1, 0.3).eval()

    def which(made: Tensor) -> Tensor:
        return (made[:, 0] > 0).long()

    match_phases(generator, [(0.7, 0.3)], latent_dim=LATENT)
    before = shares_of(generator, which, 2)
    assert before[:, 1].mean() == pytest.approx(0.3, abs=0.02) and 0.1 < before[:, 1].std() < 0.19
    match_phases(generator, [(0.7, 0.3)], deviations=[(target, target)], latent_dim=LATENT)
    found = shares_of(generator, which, 2)
    assert found[:, 1].mean() == pytest.approx(0.3, abs=0.02)
    assert found[:, 1].std() == pytest.approx(target, rel=0.08)
    match_phases(generator, [(0.7, 0.3)], latent_dim=LATENT)  # anew, without
    assert torch.equal(shares_of(generator, which, 2), before)


def test_shares_of_three_phases_come_to_differ_as_they_should() -> None:
    generator, wanted = Noisy(3, 0.4).eval(), (0.05, 0.06, 0.04)
    match_phases(generator, [(0.5, 0.3, 0.2)], deviations=[wanted], latent_dim=LATENT)
    found = shares_of(generator, lambda made: made.argmax(1), 3)
    torch.testing.assert_close(found.mean(0), torch.tensor([0.5, 0.3, 0.2]).double(), atol=0.02, rtol=0)
    assert float(found.var(0).sum()) == pytest.approx(sum(each**2 for each in wanted), rel=0.15)


class Layered(nn.Module):
    """Raw numbers that all voxels of a layer across the last axis share."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Phases(1, 1)
        self.weight = nn.Parameter(torch.zeros(()))
        self.waves = torch.randn(LATENT, SIDE, generator=torch.Generator().manual_seed(0))

    def forward(self, latent: Tensor) -> Tensor:
        """(n, 2) to (n, 1, 8, 8, 8)."""
        made: Tensor = self.head(torch.sin(1000 * latent @ self.waves).expand(1, SIDE, SIDE, -1, -1).movedim(3, 0))
        return made


def test_what_lies_in_layers_is_not_mistaken_for_what_differs_from_sample_to_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wassergan.sampling.phases.KEPT", 2**17)  # every eighth voxel in step is one layer
    generator, target = Layered().eval(), 0.14
    match_phases(generator, [(0.7, 0.3)], deviations=[(target, target)], latent_dim=LATENT)
    found = shares_of(generator, lambda made: (made[:, 0] > 0).long(), 2)
    assert found[:, 1].std() == pytest.approx(target, rel=0.1)


def test_deviations_are_of_whole_samples_and_of_enough_of_them() -> None:
    rows = (np.random.default_rng(0).random((40, 2, 3, 4, 5)) < np.linspace(0, 1, 40).reshape(-1, 1, 1, 1, 1)) * 7
    blocks = [rows[:10], rows[10:]]
    expected = tuple(tuple(np.std((rows[:, each] == of).mean((1, 2, 3))) for of in (0, 7)) for each in (0, 1))
    assert np.allclose(deviations_of(blocks, (0, 7), "NCDHW"), expected) and min(expected[0]) > 0.2
    assert deviations_of([rows[:31]], (0, 7), "NCDHW") == ()


def test_a_codec_keeps_deviations_and_older_ones_know_none() -> None:
    rock = np.random.default_rng(0).random((20, 20, 20)) < 0.3
    codec = open_source(rock, crop=(8, 8, 8), seed=0).codec
    assert isinstance(codec, VolumeCodec) and not codec.fault()
    # Voxels are independent: the share in 512 of them has the deviation of a binomial.
    assert codec.deviations[0] == pytest.approx([(0.3 * 0.7 / 512) ** 0.5] * 2, rel=0.3)
    state = codec.state()
    assert VolumeCodec.from_state(state).deviations == codec.deviations
    del state["deviations"]
    older = VolumeCodec.from_state(state)
    assert older.deviations == () and older.shares == codec.shares and not older.fault()
    for wrong in (((0.1,),), ((0.1, 0.6),), ((0.1, float("nan")),), ((0.1, 0.1),) * 2):
        assert replace(codec, deviations=wrong).fault().startswith("deviations")


def test_a_codec_keeps_two_point_curves_and_older_ones_know_none() -> None:
    rock = np.random.default_rng(0).random((40, 24, 20)) < 0.3
    codec = open_source(rock, crop=(8, 6, 5), seed=0).codec
    assert isinstance(codec, VolumeCodec) and not codec.fault()
    # Voxels are independent: two of them are pores with probability 0.09, one and the same with 0.3.
    for phase, share in enumerate((0.7, 0.3)):
        assert [len(line) for line in codec.curves[0][phase]] == [5, 4, 3]  # to half of a side
        for line in codec.curves[0][phase]:
            assert line[0] == pytest.approx(share, abs=0.02) and line[1:] == pytest.approx(
                [share**2] * len(line[1:]), abs=0.02
            )
    state = codec.state()
    assert VolumeCodec.from_state(state).curves == codec.curves
    del state["curves"]
    older = VolumeCodec.from_state(state)
    assert older.curves == () and older.deviations == codec.deviations and not older.fault()
    short = tuple(phase[:2] for phase in codec.curves[0])
    wild = ((((2.0,),) * 3,) * 2,)
    for wrong in ((short,), wild, codec.curves * 2, (codec.curves[0][:1],)):
        assert replace(codec, curves=wrong).fault().startswith("two-point curves")


def test_many_phases_are_not_matched_at_places_in_step() -> None:
    values = torch.randn(3, 128, 512, generator=torch.Generator().manual_seed(0))
    values[0] += 4 * (torch.arange(512) % 4 == 0)  # the first phase is at home at every fourth place
    shares = (0.32, 0.6, 0.08)
    shift = thresholds.shifts_for(values.flatten(1), shares, most=2**14)
    found = (values + shift[:, None, None]).argmax(0).flatten().bincount(minlength=3) / values[0].numel()
    assert found.tolist() == pytest.approx(shares, abs=0.015)


def test_shares_that_hardly_differ_come_to_differ_as_they_should() -> None:
    generator = Noisy(1, 0.02).eval()
    match_phases(generator, [(0.7, 0.3)], deviations=[(0.1, 0.1)], latent_dim=LATENT)
    found = shares_of(generator, lambda made: (made[:, 0] > 0).long(), 2)
    assert found[:, 1].std() == pytest.approx(0.1, rel=0.1) and found[:, 1].mean() == pytest.approx(0.3, abs=0.02)
