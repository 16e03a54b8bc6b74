import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from wassergan.errors import UserError
from wassergan.lipschitz import bound_convolution, certify, convolution_bound
from wassergan.lipschitz.convolution import fourier_bound, gram_bound, phases, written_out

GEOMETRIES = [  # kernel, stride, padding
    ((3, 3), (1, 1), (1, 1)),
    ((4, 4), (2, 2), (1, 1)),
    ((3, 3), (2, 2), (0, 0)),
    ((5, 3), (3, 2), (2, 1)),
    ((2, 2), (2, 2), (0, 0)),
    ((1, 1), (1, 1), (0, 0)),
    ((2, 3), (3, 1), (1, 2)),
]


def kernel_of(out: int, inside: int, size: tuple[int, int], *, seed: int = 0) -> Tensor:
    return torch.randn(out, inside, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def operator(layer: nn.Conv2d, grid: tuple[int, int]) -> Tensor:
    """The explicit matrix of a convolution on a grid, one column per input number."""
    count = layer.in_channels * grid[0] * grid[1]
    basis = torch.eye(count, dtype=torch.float64).view(count, layer.in_channels, *grid)
    with torch.no_grad():
        return (layer(basis) - (0 if layer.bias is None else layer.bias[:, None, None])).flatten(1).T


def layer_with(kernel: Tensor, stride: tuple[int, int], padding: tuple[int, int], **more: object) -> nn.Conv2d:
    layer = nn.Conv2d(kernel.shape[1], len(kernel), kernel.shape[2:], stride, padding, **more).double()  # type: ignore[arg-type]
    layer.weight.data = kernel
    return layer


@pytest.mark.parametrize(("size", "stride", "padding"), GEOMETRIES)
@pytest.mark.parametrize("channels", [(1, 1), (4, 2), (2, 4)])
def test_both_bounds_hold_for_the_explicit_operator_and_fourier_is_close_to_it(
    size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], channels: tuple[int, int]
) -> None:
    kernel = kernel_of(*channels, size)
    exact = torch.linalg.matrix_norm(operator(layer_with(kernel, stride, padding), (10, 9)), ord=2).item()
    split = phases(kernel, stride)
    assert exact <= fourier_bound(split)
    assert exact <= gram_bound(split)
    assert convolution_bound(kernel, stride=stride) <= 1.2 * exact  # 10 x 9 is not the infinite grid


def test_the_fourier_bound_is_reached_on_large_grids() -> None:
    # All ones in 3 x 3: the norm tends to 9 as the grid grows, and is 9 on the infinite one.
    assert 9 <= fourier_bound(torch.ones(1, 1, 3, 3, dtype=torch.float64)) < 9.1
    # Nonnegative kernels are the case in which the Gram bound is exact.
    assert gram_bound(torch.ones(1, 1, 3, 3, dtype=torch.float64)) == pytest.approx(9, rel=1e-9)


def test_a_norm_between_the_frequencies_of_the_grid_is_covered() -> None:
    # |K̂(ω)|² of [1, 0, ..., e^{iφ}-like real kernels] peaks anywhere: compare with a far finer grid.
    for seed in range(20):
        kernel = kernel_of(1, 1, (3, 4), seed=seed)
        finest = torch.fft.fft2(kernel, s=(1500, 1501)).abs().max().item()
        assert finest <= fourier_bound(kernel) <= 1.006 * finest


@pytest.mark.parametrize(("size", "stride", "padding"), GEOMETRIES)
def test_almost_orthogonal_kernels_have_norm_at_most_one_and_not_far_below(
    size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    for seed, scale in enumerate((1e-20, 1.0, 1e20)):
        layer = layer_with(scale * kernel_of(3, 2, size, seed=seed), stride, padding)
        bound_convolution(layer)
        exact = torch.linalg.matrix_norm(operator(layer, (9, 10)), ord=2).item()
        assert 0.4 < exact <= 1 + 1e-12
        assert exact <= convolution_bound(layer.weight, stride=stride) <= 1 + 1e-9


def test_almost_orthogonal_is_exactly_orthogonal_where_nothing_overlaps() -> None:
    # One tap per tile: the columns of the operator do not meet, so the scaling makes it an isometry.
    layer = layer_with(torch.diag(torch.tensor([3.0, 0.1]).double())[:, :, None, None], (1, 1), (0, 0))
    bound_convolution(layer)
    torch.testing.assert_close(layer.weight.detach()[:, :, 0, 0], torch.eye(2, dtype=torch.float64))


def test_a_zero_kernel_stays_zero_and_finite() -> None:
    layer = layer_with(torch.zeros(2, 2, 3, 3, dtype=torch.float64), (1, 1), (1, 1))
    bound_convolution(layer)
    layer.weight.sum().backward()
    stored = layer.parametrizations["weight"].original
    assert torch.equal(layer.weight.detach(), torch.zeros(2, 2, 3, 3, dtype=torch.float64))
    assert stored.grad.isfinite().all()


def test_gradients_of_the_parametrisation_agree_with_finite_differences() -> None:
    layer = layer_with(kernel_of(2, 2, (3, 3)), (2, 2), (1, 1))
    bound_convolution(layer)
    parametrisation = layer.parametrizations["weight"][0]
    # The size by which the kernel is divided first is held fixed; the result does not depend on it.
    assert torch.autograd.gradcheck(parametrisation, kernel_of(2, 2, (3, 3)).requires_grad_())  # type: ignore[arg-type]


@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_groups_and_dilation_are_written_out(dilation: tuple[int, int], groups: int) -> None:
    layer = nn.Conv2d(4, 6, (3, 2), dilation=dilation, groups=groups, bias=False).double()
    pictures = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(conv2d(pictures, written_out(layer)), layer(pictures))
    exact = torch.linalg.matrix_norm(operator(layer, (9, 9)), ord=2).item()
    assert exact <= convolution_bound(written_out(layer))


@pytest.mark.parametrize(
    "more", [{"groups": 2}, {"dilation": 2}, {"padding_mode": "reflect"}, {"padding_mode": "circular"}]
)
def test_convolutions_that_the_parametrisation_does_not_cover_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(UserError, match="Only plain convolutions with zero padding can be bounded: groups="):
        bound_convolution(nn.Conv2d(2, 2, 3, padding=1, **more))  # type: ignore[arg-type]


def deep(kernel: Tensor, stride: tuple[int, ...], padding: tuple[int, ...], **more: object) -> nn.Conv3d:
    layer = nn.Conv3d(kernel.shape[1], len(kernel), kernel.shape[2:], stride, padding, **more).double()  # type: ignore[arg-type]
    layer.weight.data = kernel
    return layer


def deep_norm(layer: nn.Module, shape: tuple[int, ...]) -> float:
    """The norm of the explicit matrix on inputs of a shape (C, D, H, W), without the bias."""
    basis = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        return torch.linalg.matrix_norm((layer(basis) - layer(basis[:1] * 0)).flatten(1), ord=2).item()


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [
        ((4, 4, 4), (2, 2, 2), (1, 1, 1)),
        ((3, 4, 2), (1, 2, 2), (1, 1, 0)),
        ((2, 3, 1), (3, 1, 1), (1, 1, 0)),
        ((3, 3, 3), (1, 1, 1), (1, 1, 1)),
    ],
)
@pytest.mark.parametrize("channels", [(1, 2), (3, 1)])
def test_bounds_over_three_axes_hold_for_the_explicit_operator(
    size: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], channels: tuple[int, int]
) -> None:
    kernel = torch.randn(*channels, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer, shape = deep(kernel, stride, padding), (channels[1], 7, 6, 5)
    exact, split = deep_norm(layer, shape), phases(kernel, stride)
    assert exact <= fourier_bound(split) and exact <= gram_bound(split)
    assert exact <= convolution_bound(kernel, stride=stride) <= 1.35 * exact
    bound_convolution(layer)
    held = deep_norm(layer, shape)
    assert 0.3 < held <= 1 + 1e-12 and held <= convolution_bound(layer.weight, stride=stride) <= 1 + 1e-9


@pytest.mark.parametrize("stride", [(2, 1, 1), (1, 2, 1), (1, 1, 2)])
def test_every_phase_of_a_strided_kernel_is_scaled_by_itself(stride: tuple[int, ...]) -> None:
    kernel = torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kernel[(slice(None), slice(None), *(slice(None, None, step) for step in stride))] *= 100
    layer = deep(kernel, stride, (1, 1, 1))
    bound_convolution(layer)
    assert 0.3 < deep_norm(layer, (2, 5, 5, 5)) <= 1 + 1e-12


@pytest.mark.parametrize("more", [{}, {"groups": 2}, {"dilation": 2}, {"padding_mode": "replicate"}])
def test_layers_over_three_axes_are_certified(more: dict[str, object]) -> None:
    torch.manual_seed(0)
    layer = nn.Conv3d(2, 2, 2, padding=1, **more).double()  # type: ignore[arg-type]
    assert deep_norm(layer, (2, 4, 5, 3)) <= certify(layer).constant
    if "padding_mode" not in more:
        up = nn.ConvTranspose3d(2, 2, 2, stride=2, **more).double()  # type: ignore[arg-type]
        assert deep_norm(up, (2, 3, 2, 3)) <= certify(up).constant <= 2 * deep_norm(up, (2, 3, 2, 3))
