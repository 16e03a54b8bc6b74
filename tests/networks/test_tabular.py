import pytest
import torch
from torch import Tensor, nn

from wassergan.networks import TableHead, TabularGenerator, build_networks
from wassergan.utils.column_layout import ColumnLayout

HALF = 0.5**0.5
FIELDS = [
    ColumnLayout(3),
    ColumnLayout(0, places=(0.0,)),
    ColumnLayout(3, 1, (-0.5, 0.0, 0.25)),
    ColumnLayout(2, 1, (), 2, 3),
]
WIDTH, NOISE = 3 + 1 + 4 + 8, 3 + 0 + 3 + 8


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def generator(*, sequence_width: int = 0, likelihood: float = 0.0) -> nn.Module:
    made, _ = build_networks(
        "residual",
        (WIDTH,),
        head=TableHead(FIELDS),
        latent_dim=5,
        generator_widths=(16, 16),
        critic_widths=(8,),
        maps=1,
        activation="silu",
        critic_activation="leaky_relu",
        generator_norm="layer",
        critic_norm="none",
        seed=0,
        sequence_width=sequence_width,
        likelihood=likelihood,
    )
    return made


def test_rows_are_exactly_what_their_options_say() -> None:
    head = TableHead(FIELDS)
    assert head.noise_dim == NOISE
    rows = head(3 * normal(500, WIDTH), normal(500, NOISE, seed=1))
    assert rows.shape == (500, WIDTH)
    for options in (rows[:, :3], rows[:, 4:7], rows[:, 8:10]):
        assert ((options == 0) | (options == HALF)).all() and ((options > 0).sum(1) == 1).all()
    assert rows[:, 3].abs().max() <= 1
    number = rows[:, 4:8]
    torch.testing.assert_close(number[number[:, 0] > 0, 3], torch.full((int((number[:, 0] > 0).sum()),), -0.5))
    torch.testing.assert_close(number[number[:, 2] > 0, 3], torch.full((int((number[:, 2] > 0).sum()),), 0.25))
    assert number[number[:, 1] > 0, 3].unique().numel() > 50
    category = rows[:, 8:]
    digits = category[:, 2:].unflatten(1, (2, 3))
    taken = category[:, 1] > 0
    assert (digits[~taken] == 0).all() and ((digits[taken] > 0).sum(2) == 1).all()


def test_angles_are_drawn_on_the_circle_and_told_in_half_turns() -> None:
    head = TableHead([ColumnLayout(0, places=(0.0,), circle=True), ColumnLayout(3, 1, (0.5, 0, 0), circle=True)])
    assert (head.noise_dim, head.channels, head.is_option.tolist()) == (
        3,
        [0, 1],
        [False, False, *[True] * 3, *[False] * 2],
    )
    raw = torch.zeros(4, 7)
    raw[:, :2] = torch.tensor([[3.0, 0], [0, 0.5], [-7, -7], [0.05, 0]])
    raw[:, 2:5] = torch.tensor([[90.0, 0, 0], [0, 90, 0], [0, 0, 90], [0, 90, 0]])
    raw[:, 5:] = torch.tensor([0.0, -2.0])
    rows = head(raw, torch.zeros(4, 3))
    radius, half = 3**-0.5, 6**-0.5
    # An arrow shorter than a tenth stays inside the circle: its direction counts, and its gradient is bounded.
    torch.testing.assert_close(rows[:, :2], torch.tensor([[radius, 0], [0, radius], [-half, -half], [radius / 2, 0]]))
    torch.testing.assert_close(head.told(0, rows), torch.tensor([0, 0.5, -0.75, 0]))
    # The first option's angle is a quarter turn, the second is open, and the last rests at 0.
    expected = torch.tensor([[0, radius], [0, -radius], [radius, 0], [0, -radius]])
    torch.testing.assert_close(rows[:, 5:], expected, atol=1e-7, rtol=0)
    torch.testing.assert_close(head.told(1, rows), torch.tensor([torch.nan, -0.5, torch.nan, -0.5]), equal_nan=True)
    assert (head.expected(raw, torch.zeros(4, 3))[:, [0, 1, 5, 6]] == 0).all()


def test_options_are_drawn_with_the_probabilities_of_their_logits() -> None:
    head = TableHead([ColumnLayout(3)])
    shares = torch.tensor([0.6, 0.3, 0.1])
    rows = head(shares.log().expand(200_000, 3), normal(200_000, 3))
    # Four standard errors of a share of 0.6.
    torch.testing.assert_close((rows > 0).double().mean(0), shares.double(), atol=4 * (0.24 / 200_000) ** 0.5, rtol=0)


def test_extreme_noise_is_finite() -> None:
    rows = TableHead([ColumnLayout(2)])(torch.zeros(3, 2), torch.tensor([[40.0, -40], [-40, 40], [9, -9]]))
    assert rows.tolist() == [[pytest.approx(HALF), 0], [0, pytest.approx(HALF)], [pytest.approx(HALF), 0]]


def test_gradients_are_those_of_the_softmax_at_the_temperature() -> None:
    raw = normal(4, 3).requires_grad_()
    noise, upwards = normal(4, 3, seed=1), normal(4, 3, seed=2)
    rows = TableHead([ColumnLayout(3)], temperature=0.5)(raw, noise)
    (got,) = torch.autograd.grad((rows * upwards).sum(), raw)
    gumbel = -(-(0.5 * (1 + torch.erf(noise.double() / 2**0.5))).log()).log()
    soft = torch.softmax((raw.detach().double() + gumbel) / 0.5, 1)
    expected = soft * (upwards - (soft * upwards).sum(1, keepdim=True)) / 0.5 * HALF
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-5)


def test_every_raw_value_learns() -> None:
    raw = normal(64, WIDTH).requires_grad_()
    (TableHead(FIELDS)(raw, normal(64, NOISE, seed=1)) * normal(64, WIDTH, seed=2)).sum().backward()
    assert raw.grad is not None and (raw.grad.abs().sum(0) > 0).all()


@pytest.mark.parametrize(("sequence_width", "likelihood"), [(0, 0.0), (8, 0.0), (8, 1.0)])
@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 1025, 2100])
def test_a_row_is_the_same_to_the_last_bit_in_any_batch(count: int, sequence_width: int, likelihood: float) -> None:
    drawing = generator(sequence_width=sequence_width, likelihood=likelihood).eval()
    for number, each in enumerate(drawing.parameters()):
        nn.init.normal_(each, std=0.5, generator=torch.Generator().manual_seed(number))
    noise = drawing.head.noise_dim
    assert isinstance(noise, int)
    latent = normal(2100, 5 + noise)
    with torch.no_grad():
        whole, part = drawing(latent), drawing(latent[:count])
        alone = drawing(latent[count - 1 : count])
    assert torch.equal(whole[:count], part) and torch.equal(whole[count - 1], alone[0])


def test_nothing_gives_nothing() -> None:
    assert generator().eval()(torch.zeros(0, 5 + NOISE)).shape == (0, WIDTH)


def test_a_head_that_draws_is_put_over_a_generator_without_one() -> None:
    drawing = generator()
    assert isinstance(drawing, TabularGenerator) and isinstance(drawing.body.head, nn.Identity)
    assert (
        not list(drawing.head.parameters())
        and not drawing.state_dict().keys() - dict(drawing.named_parameters()).keys()
    )


def test_expected_one_hots_are_the_means_of_what_is_drawn() -> None:
    head = TableHead(FIELDS)
    head.calibration.shift.copy_(normal(1, WIDTH, seed=7))
    raw = normal(3, WIDTH, seed=1)
    count = 40_000
    for row in range(3):
        drawn = head(raw[row].expand(count, -1), normal(count, NOISE, seed=2 + row)).double().mean(0)
        expected = head.expected(raw, normal(3, NOISE))[row].double()
        # Five standard errors of a half, times the scale of a one-hot.
        torch.testing.assert_close(expected[head.is_option], drawn[head.is_option], atol=0.0125, rtol=0)
        assert not expected[~head.is_option].any()
