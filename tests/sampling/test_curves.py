"""Filters of raw numbers by which phases of generated volumes come to reach as far as in the data."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from wassergan.data.volumes import Curves
from wassergan.data.volumes.fitting import curves_of, deviations_of, shares_of
from wassergan.networks import Phases
from wassergan.sampling import curves as module
from wassergan.sampling.phases import match_phases
from wassergan.training import sample_chunks

LATENT, FIELDS = 16, 512


def fields(reach: Sequence[float], planes: int, sides: tuple[int, ...], seed: int, count: int = FIELDS) -> Tensor:
    """Smooth random fields (n, planes, D, H, W) of deviation 1; the reach is that along each axis."""
    noise = np.random.default_rng(seed).standard_normal((count, planes, *(side + 16 for side in sides)))
    smooth = gaussian_filter(noise, (0, 0, *reach), mode="wrap")
    inner = smooth[:, :, 8:-8, 8:-8, 8:-8] / smooth.std()
    return torch.from_numpy(inner).float()


class Chosen(nn.Module):
    """Raw numbers of one of some fields, the one that a latent vector says."""

    def __init__(self, raw: Tensor, planes: int) -> None:
        super().__init__()
        self.head, self.raw = Phases(raw.shape[1] // planes, planes), raw
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, latent: Tensor) -> Tensor:
        """(n, 16) to (n, planes, D, H, W)."""
        chosen = (latent.double().sum(1) * 1e6).long() % len(self.raw)
        made: Tensor = self.head(self.raw[chosen])
        return made


def drawn(generator: nn.Module, planes: int) -> NDArray[Any]:
    """2000 draws as phases (n, C, D, H, W)."""
    made = torch.cat(list(sample_chunks(generator, 2000, latent_dim=LATENT, seed=9)))
    index = (made > 0).long() if planes == 1 else made.unflatten(1, (-1, planes)).argmax(2)
    found: NDArray[Any] = index.numpy()
    return found


def error(own: NDArray[Any], curves: Curves, phases: tuple[int, ...]) -> float:
    """The largest relative error of a curve."""
    found = curves_of(lambda: iter([own]), phases, "NCDHW")
    return max(abs(a / b - 1) for a, b in zip(numbers_of(found), numbers_of(curves), strict=True))


def numbers_of(curves: Curves) -> list[float]:
    """All numbers of some curves."""
    return [each for channel in curves for phase in channel for line in phase for each in line]


@pytest.mark.parametrize("planes", [1, 3])
def test_phases_come_to_reach_as_far_as_in_the_data(planes: int) -> None:
    sides = (12, 12, 12)
    real, made = fields((1.6, 1.6, 0.8), planes, sides, 0), fields((1.1, 1.4, 1.4), planes, sides, 1)
    phases = (0, 1) if planes == 1 else (0, 1, 2)
    data = (
        (real > 0.8).long().numpy()
        if planes == 1
        else (real + torch.tensor([0.4, 0, -0.2]).view(-1, 1, 1, 1)).argmax(1, keepdim=True).numpy()
    )

    def rows() -> Iterator[NDArray[Any]]:
        return iter([data])

    shares, deviations = shares_of(rows(), phases, "NCDHW"), deviations_of(rows(), phases, "NCDHW")
    curves = curves_of(rows, phases, "NCDHW")
    generator = Chosen(3 * made, planes).eval()
    match_phases(generator, shares, deviations=deviations, latent_dim=LATENT)
    before = error(drawn(generator, planes), curves, phases)
    match_phases(generator, shares, deviations=deviations, curves=curves, latent_dim=LATENT)
    own = drawn(generator, planes)
    assert before > 0.15 and error(own, curves, phases) < before / 2
    found = np.stack([(own == phase).mean((1, 2, 3, 4)) for phase in phases], 1)
    assert found.mean(0) == pytest.approx(np.array(shares[0]), abs=0.01)
    assert (found.std(0) ** 2).sum() == pytest.approx(sum(each**2 for each in deviations[0]), rel=0.15)
    match_phases(generator, shares, deviations=deviations, latent_dim=LATENT)  # anew, without
    assert error(drawn(generator, planes), curves, phases) == before


def test_each_channel_has_filters_of_its_own() -> None:
    raw = torch.cat([fields((1.5,) * 3, 1, (10, 9, 8), seed) for seed in (0, 1)], 1)
    other = torch.cat([fields((1.5,) * 3, 1, (10, 9, 8), 2), fields((1.1,) * 3, 1, (10, 9, 8), 3)], 1)
    data = (other > 0.5).long().numpy()
    shares, curves = shares_of([data], (0, 1), "NCDHW"), curves_of(lambda: iter([data]), (0, 1), "NCDHW")
    generator = Chosen(3 * raw, 1).eval()
    match_phases(generator, shares, latent_dim=LATENT)
    before = error(drawn(generator, 1)[:, [1]], curves[1:], (0, 1))
    match_phases(generator, shares, curves=curves, latent_dim=LATENT)
    first, second = (torch.stack([axis[plane].abs().max() for axis in generator.head.filters]) for plane in (0, 1))
    assert [axis.shape for axis in generator.head.filters] == [(2, side, side) for side in (10, 9, 8)]
    assert first.max() < second.max() / 3
    own = drawn(generator, 1)
    for channel in (0, 1):
        assert error(own[:, [channel]], curves[channel : channel + 1], (0, 1)) < before / 2


def test_curves_count_voxels_that_every_sample_has_in_common() -> None:
    made, real = (fields((reach,) * 3, 1, (10, 10, 10), seed) for reach, seed in ((1.1, 0), (1.4, 1)))
    data = (real > 0.5).long().numpy()
    data[:, :, :3] = 1
    fixed = torch.zeros(1, 2, 10, 10, 10)
    fixed[:, 1, :3] = 1
    shares, curves = shares_of([data], (0, 1), "NCDHW"), curves_of(lambda: iter([data]), (0, 1), "NCDHW")
    generator, errors = Chosen(3 * made, 1).eval(), []
    for known in ((), curves):
        match_phases(generator, shares, curves=known, fixed=fixed, latent_dim=LATENT)
        own = drawn(generator, 1)
        own[:, :, :3] = 1
        assert own.mean() == pytest.approx(shares[0][1], abs=0.01)
        errors.append(error(own, curves, (0, 1)))
    assert errors[0] > 0.05 and errors[1] < errors[0] / 2


def test_curves_that_fit_already_are_left() -> None:
    made = fields((1.3,) * 3, 1, (8, 8, 8), 0, 64)
    data = (made > 0.5).long().numpy()
    aim = module.Aim(shares_of([data], (0, 1), "NCDHW")[0], curves_of(lambda: iter([data]), (0, 1), "NCDHW")[0])
    assert all(not each.any() for each in module.filters_for(made, aim))


def test_one_draw_and_a_side_of_one_voxel_have_no_filters() -> None:
    made = fields((1.3,) * 3, 1, (1, 8, 8), 0, 64)
    data = (fields((0.7,) * 3, 1, (1, 8, 8), 1, 64) > 0.5).long().numpy()
    curves = curves_of(lambda: iter([data]), (0, 1), "NCDHW")[0]
    aim = module.Aim(shares_of([data], (0, 1), "NCDHW")[0], curves)
    found = module.filters_for(made, aim)
    assert found[0].shape == (1, 1, 1) and not found[0].any() and found[1].any()
    assert all(not each.any() for each in module.filters_for(made[:1], aim))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_filters_keep_the_mean_of_a_sample_and_treat_both_ways_alike(side: int, seed: int) -> None:
    lags = side // 2
    kernel = torch.randn(lags, generator=torch.Generator().manual_seed(seed))
    matrix = torch.einsum("k,kij->ij", kernel, module._shifts(side, lags))
    torch.testing.assert_close(matrix.sum(0), torch.zeros(side), atol=1e-4, rtol=0)  # the mean of all stays
    torch.testing.assert_close(matrix.sum(1), torch.zeros(side), atol=1e-4, rtol=0)  # and what is the same everywhere
    torch.testing.assert_close(matrix.flip(0, 1), matrix, atol=1e-4, rtol=0)


def test_a_head_is_filtered_as_it_draws_and_never_in_training() -> None:
    head, raw = Phases(1, 1), fields((1.0,) * 3, 1, (4, 5, 6), 0, 3)
    plain = head.eval()(raw)
    matrices = [torch.randn(1, side, side, generator=torch.Generator().manual_seed(side)) / 9 for side in (4, 5, 6)]
    head.filter_by(matrices)
    expected = raw.clone()
    expected += torch.einsum("ij,ncjhw->ncihw", matrices[0][0], raw)
    expected += torch.einsum("ij,ncdjw->ncdiw", matrices[1][0], raw)
    expected += torch.einsum("ij,ncdhj->ncdhi", matrices[2][0], raw)
    torch.testing.assert_close(head(raw), expected.tanh())
    assert torch.equal(head.train()(raw), plain)
    other = Phases(1, 1).eval()
    other.load_calibration(head.calibration_state())
    assert torch.equal(other(raw), head.eval()(raw))
    for name, wrong in (
        ("along_depth", torch.zeros(2, 4, 4)),
        ("along_width", torch.zeros(1, 4, 5)),
        ("offsets", torch.zeros(2, 1, 1, 1)),
        ("along_height", torch.full((1, 5, 5), float("nan"))),
    ):
        with pytest.raises(ValueError, match="another generator"):
            other.load_calibration({**head.calibration_state(), name: wrong})
    head.filter_by([])
    assert torch.equal(head(raw), plain)


def test_raw_numbers_that_never_differ_have_no_filters() -> None:
    half = np.zeros((40, 1, 6, 6, 6), int)
    half[:, :, :3] = np.random.default_rng(0).random((40, 1, 3, 6, 6)) < 0.5
    for planes, phases in ((1, (0, 1)), (3, (0, 1, 2))):
        shares, curves = shares_of([half], phases, "NCDHW"), curves_of(lambda: iter([half]), phases, "NCDHW")
        for value in (0.0, 0.1, -1e30):  # a generator that has died makes such
            generator = Chosen(torch.full((8, planes, 6, 6, 6), value), planes).eval()
            match_phases(generator, shares, deviations=((0.1,) * len(phases),), curves=curves, latent_dim=LATENT)
            assert all(not axis.any() for axis in generator.head.filters)


@pytest.mark.parametrize("unit", [1e-20, 0.03, 50.0, 1e20])
def test_filters_do_not_depend_on_the_unit_of_raw_numbers(unit: float) -> None:
    raw, other = (fields((reach,) * 3, 1, (8, 7, 6), seed, 96) for reach, seed in ((0.9, 0), (1.2, 1)))
    data = (other > 0.4).long().numpy()
    rows = [data]
    aim = module.Aim(
        shares_of(rows, (0, 1), "NCDHW")[0],
        curves_of(lambda: iter(rows), (0, 1), "NCDHW")[0],
        sum(each**2 for each in deviations_of(rows, (0, 1), "NCDHW")[0]),
    )
    # Which phase a voxel has depends on the order of raw numbers alone: the same weights are right in every unit.
    for own, expected in zip(module.filters_for(unit * raw, aim), module.filters_for(raw, aim), strict=True):
        torch.testing.assert_close(own, expected, atol=2e-3, rtol=2e-3)
        assert expected.any()


@pytest.mark.parametrize("equal", [False, True])
def test_filters_are_found_with_the_pull_that_is_drawn_with(equal: bool) -> None:
    """None where it is not known how far shares differ; and all of it where every sample has as much of each phase."""
    sides = (8, 8, 8)
    means = torch.randn(192, 1, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    own, real = fields((0.8,) * 3, 1, sides, 0, 192) + means, fields((1.3,) * 3, 1, sides, 1, 192)
    bound = real.flatten(1).quantile(0.7, dim=1).view(-1, 1, 1, 1, 1) if equal else torch.tensor(0.5)
    rows = [(real > bound).long().numpy()]
    shares, curves = shares_of(rows, (0, 1), "NCDHW"), curves_of(lambda: iter(rows), (0, 1), "NCDHW")
    deviations = deviations_of(rows, (0, 1), "NCDHW") if equal else ()
    generator, errors = Chosen(own, 1).eval(), []
    for known in ((), curves):
        match_phases(generator, shares, deviations=deviations, curves=known, latent_dim=LATENT)
        errors.append(error(drawn(generator, 1), curves, (0, 1)))
    assert errors[1] < (0.5 if equal else 0.2) * errors[0]


@pytest.mark.parametrize("variance", [None, 0.01])
def test_volumes_of_one_voxel_have_no_filters(variance: float | None) -> None:
    raw = torch.randn(10, 1, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    aim = module.Aim((0.75, 0.25), [[[0.75]] * 3, [[0.25]] * 3], variance)  # of ten voxels, none can have these shares
    assert all(axis.shape == (1, 1, 1) and not axis.any() for axis in module.filters_for(raw, aim))
