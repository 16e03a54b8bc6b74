import pytest
import torch
from torch import Tensor, nn

from wassergan.training.analytic.banded import Banded
from wassergan.training.analytic.convolutions import Convolution, Direct, Patches, convolution_of
from wassergan.training.analytic.winograd import Winograd

Kind = type[Direct] | type[Patches] | type[Winograd] | type[Banded]
KINDS = [Direct, Patches, Winograd, Banded]
GRIDS = [(8, 8), (7, 9), (5, 4), (14, 16), (3, 2)]


def last(values: Tensor) -> Tensor:
    """(n, C, H, W) with channels last."""
    return values.permute(0, 2, 3, 1).contiguous()


def example(count: int, into: int, out: int, grid: tuple[int, int]) -> list[Tensor]:
    """Inputs, weights, bias and deltas; then what PyTorch's convolution and its gradients make of them."""
    rng = torch.Generator().manual_seed(0)
    given, weight = (
        torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_(True)
        for shape in ((count, into, *grid), (out, into, 4, 4))
    )
    bias = torch.randn(out, generator=rng, dtype=torch.float64)
    expected = nn.functional.conv2d(given, weight, bias, stride=2, padding=1)
    delta = torch.randn(expected.shape, generator=rng, dtype=torch.float64)
    by_given, by_weight = torch.autograd.grad(expected, (given, weight), delta)
    return [each.detach() for each in (given, weight, bias, delta, expected, by_given, by_weight)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("count", "into", "out"), [(1, 3, 5), (16, 9, 2), (37, 2, 6)])
def test_a_convolution_and_its_adjoints_are_pytorch_s(
    kind: Kind,
    grid: tuple[int, int],
    count: int,
    into: int,
    out: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("winograd", "convolutions"):
        monkeypatch.setattr(f"wassergan.training.analytic.{module}.CHUNK_NUMBERS", 10_000)  # a few samples at once
    given, weight, bias, delta, expected, by_given, by_weight = example(count, into, out, grid)
    convolution: Convolution = kind(last(weight).flatten(1), grid)
    inputs, deltas = convolution.given(last(given)), convolution.deltas(last(delta).flatten(1))
    torch.testing.assert_close(convolution.convolve(inputs, bias), last(expected).flatten(1))
    without = last(expected - bias[:, None, None]).flatten(1)
    torch.testing.assert_close(convolution.convolve(inputs, None), without)
    torch.testing.assert_close(convolution.pixels(deltas), last(by_given))
    torch.testing.assert_close(convolution.by_kernel(inputs, deltas), last(by_weight).flatten(1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_by_the_kernel_is_that_of_as_many_inputs_as_there_are_deltas(
    kind: Kind,
) -> None:
    given, weight, _, delta, *_ = example(5, 3, 4, (8, 6))
    convolution: Convolution = kind(last(weight).flatten(1), (8, 6))
    all_inputs, some_inputs = (convolution.given(last(each)) for each in (given, given[:2]))
    deltas = convolution.deltas(last(delta[:2]).flatten(1))
    found = convolution.by_kernel(all_inputs, deltas)
    torch.testing.assert_close(found, convolution.by_kernel(some_inputs, deltas))


@pytest.mark.parametrize(("grid", "share"), [((8, 16), 9 / 16), ((14, 14), 9 / 16 * (8 / 7) ** 2), ((6, 4), 3 / 4)])
def test_products_of_tiles_that_hang_over_are_counted(grid: tuple[int, int], share: float) -> None:
    assert Winograd.share_of_products(grid) == pytest.approx(share)


def test_many_channels_on_even_tiles_take_nine_products() -> None:
    def kind(into: int, out: int, grid: tuple[int, int], dtype: torch.dtype = torch.float32) -> type:
        return type(convolution_of(torch.zeros(out, 16 * into, dtype=dtype), grid))

    assert kind(64, 128, (16, 16)) is kind(128, 256, (8, 8)) is kind(64, 64, (8, 8), torch.float64) is Winograd
    assert kind(63, 128, (16, 16)) is kind(64, 63, (16, 16)) is kind(64, 128, (14, 14)) is Direct
    assert kind(64, 128, (16, 16), torch.bfloat16) is kind(8, 64, (14, 14), torch.bfloat16) is Patches
    assert kind(3, 64, (14, 14), torch.bfloat16) is kind(1, 64, (16, 16)) is Banded
    assert kind(3, 64, (14, 14)) is Direct


def test_rounding_is_that_of_a_few_more_additions() -> None:
    given, weight, bias, delta, expected, by_given, by_weight = example(8, 64, 64, (16, 16))
    convolution = Winograd(last(weight).flatten(1).float(), (16, 16))
    inputs, deltas = convolution.given(last(given).float()), convolution.deltas(last(delta).flatten(1).float())
    for found, exact in (
        (convolution.convolve(inputs, bias.float()), last(expected)),
        (convolution.pixels(deltas).flatten(1), last(by_given)),
        (convolution.by_kernel(inputs, deltas), last(by_weight)),
    ):
        assert (found.double() - exact.flatten(1)).norm() <= 1e-6 * exact.norm()


@pytest.mark.parametrize("grid", [(16, 14), (8, 6)])  # a large one, and a small one
def test_in_bfloat16_only_what_comes_out_is_rounded(grid: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(0)

    def integers(*shape: int) -> Tensor:
        """Exact in bfloat16, as are their products in float32; sums of some hundred products are not."""
        return torch.randint(-8, 9, shape, generator=rng).float()

    given, weight = integers(5, 9, *grid).requires_grad_(True), integers(40, 9, 4, 4)
    delta = integers(5, 40, grid[0] // 2, grid[1] // 2)
    weight.requires_grad_(True)
    expected = nn.functional.conv2d(given, weight, stride=2, padding=1)
    by_given, by_weight = torch.autograd.grad(expected, (given, weight), delta)
    convolution = Patches(last(weight).detach().flatten(1).bfloat16(), grid)
    inputs, deltas = (
        convolution.given(last(given).detach().bfloat16()),
        convolution.deltas(last(delta).flatten(1).bfloat16()),
    )
    assert convolution.convolve(inputs, None).equal(last(expected).flatten(1).bfloat16())
    assert convolution.pixels(deltas).equal(last(by_given).bfloat16())
    assert convolution.by_kernel(inputs, deltas).equal(last(by_weight).flatten(1).bfloat16().float())
