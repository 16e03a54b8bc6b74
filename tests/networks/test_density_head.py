import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from wassergan.networks import DensityHead, KeptCells, TabularGenerator
from wassergan.networks.density_head import BINS, CODE
from wassergan.sampling.calibration import match_shares
from wassergan.utils.column_layout import ColumnLayout

HALF = 0.5**0.5
NUMBER = ColumnLayout(0, places=(0.0,))
ANGLE = ColumnLayout(0, places=(0.0,), circle=True)
OPEN = ColumnLayout(3, 1, (-0.5, 0.0, 0.25))
DIGITS = ColumnLayout(2, 1, (), 2, 3)
LAYOUTS = [ColumnLayout(3), NUMBER, ColumnLayout(0), OPEN, DIGITS, ANGLE]
WIDTH, NOISE = 3 + 1 + 4 + 8 + 2, 3 + 1 + 4 + 8 + 1


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def head(layouts: list[ColumnLayout] = LAYOUTS, *, strength: float = 0.7) -> DensityHead:
    made = DensityHead(layouts, width=6).eval()
    with torch.no_grad():
        for number, each in enumerate(made.parameters()):
            each.copy_(strength * normal(*each.shape, seed=number))
    return made


def every(layout: ColumnLayout) -> list[Tensor]:
    """One column (width,) for each bin, option and digits that it can take."""
    middles = [2 * (number + 0.5) / BINS - 1 for number in range(BINS)]
    if layout.circle:
        return [torch.tensor([math.cos(math.pi * place), math.sin(math.pi * place)]) / 3**0.5 for place in middles]
    if not layout.options:
        return [torch.tensor([place]) for place in middles]
    found = []
    for option in range(layout.options):
        column = torch.zeros(layout.width)
        column[option] = HALF
        if option == layout.open_option and layout.channel:
            found += [torch.cat([column[:-1], torch.tensor([place])]) for place in middles]
            continue
        if layout.channel:
            column[-1] = layout.places[option]
        if option == layout.open_option:
            for digits in itertools.product(range(layout.radix), repeat=layout.digits):
                row = column.clone()
                for index, digit in enumerate(digits):
                    row[layout.options + index * layout.radix + digit] = HALF
                found.append(row)
            continue
        found.append(column)
    return found


PAIRS = [[OPEN, DIGITS], [DIGITS, OPEN], [ANGLE, ColumnLayout(4)], [NUMBER, ColumnLayout(0), NUMBER]]


@pytest.mark.parametrize("layouts", PAIRS)
def test_the_chances_of_all_rows_add_up_to_one(layouts: list[ColumnLayout]) -> None:
    made = head(layouts)
    rows = torch.stack([torch.cat(row) for row in itertools.product(*(every(each) for each in layouts if each.width))])
    for values in normal(3, CODE, seed=9):
        densities = made.log_likelihood(values.expand(len(rows), -1), rows)
        torch.testing.assert_close(densities.double().exp().sum(), torch.tensor(1.0).double(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("layouts", [[NUMBER], [ANGLE], [OPEN], [ColumnLayout(3), DIGITS]])
def test_rows_are_drawn_as_often_as_their_likelihood_says(layouts: list[ColumnLayout]) -> None:
    made, count = head(layouts), 20_000
    values = normal(1, CODE, seed=3)
    cells = torch.stack([torch.cat(row) for row in itertools.product(*map(every, layouts))])
    with torch.no_grad():
        drawn = made(values.expand(count, -1), normal(count, made.noise_dim, seed=4))
        chances = made.log_likelihood(values.expand(len(cells), -1), cells).exp()
    counts = torch.bincount(torch.cdist(drawn, cells).argmin(1), minlength=len(cells))
    assert ((counts - count * chances).abs() < 5 * (count * chances * (1 - chances)).sqrt() + 3).all()


def test_the_place_is_the_quantile_of_its_density_and_has_its_slope() -> None:
    made = head([NUMBER]).double()
    values = normal(1, CODE, seed=1).double()
    even = torch.linspace(0.001, 0.999, 501).double()
    with torch.no_grad():
        places = made(values.expand(501, -1), torch.special.ndtri(even)[:, None])[:, 0]
        bins = torch.linspace(-1, 1, BINS + 1).double()
        middles = (bins[1:] + bins[:-1])[:, None] / 2
        chances = made.log_likelihood(values.expand(BINS, -1), middles).exp()
    upper = torch.cat([torch.zeros(1).double(), chances.cumsum(0)])
    index = ((places + 1) * BINS / 2).long().clamp(0, BINS - 1)
    reached = upper[index] + (places - bins[index]) * (BINS / 2) * chances[index]
    torch.testing.assert_close(reached, even, atol=1e-6, rtol=0)

    values.requires_grad_()
    noise = torch.special.ndtri(even[50:450:40])[:, None]
    assert torch.autograd.gradcheck(
        lambda some: made(some.expand(len(noise), -1), noise), values, eps=1e-7, atol=1e-4, rtol=1e-3
    )


def test_columns_are_independent_and_options_even_at_first() -> None:
    made = DensityHead([ColumnLayout(4), NUMBER, OPEN], width=6).eval()
    column, places = torch.tensor([0, HALF, 0, 0]), torch.tensor([-0.99, -0.3, 0.02, 0.9])
    rows = torch.stack([torch.cat([column, place[None], every(OPEN)[0]]) for place in places])
    middles = 2 * (torch.arange(BINS) + 0.5) / BINS - 1
    bump = torch.exp(-middles.square() / 2)
    nearest = (places[:, None] - middles).abs().argmin(1)
    expected = (bump[nearest] / bump.sum() / 4 / 3).log()
    torch.testing.assert_close(made.log_likelihood(normal(4, CODE), rows), expected, atol=1e-5, rtol=0)


def test_later_columns_are_told_where_in_its_bin_a_number_lies() -> None:
    made = head([NUMBER, ColumnLayout(3)])
    rows = torch.tensor([[0.01, HALF, 0, 0], [0.05, HALF, 0, 0]])  # of one bin
    alone = head([NUMBER]).log_likelihood(normal(2, CODE), rows[:, :1])
    assert (made.log_likelihood(normal(1, CODE).expand(2, -1), rows).diff() != alone[:1] - alone[:1]).all()


def test_wide_tables_are_drawn_in_groups() -> None:
    made = DensityHead([ColumnLayout(2)] * 100, width=4)
    assert len(made.reads) == 32 and sum(out.weight.shape[0] for out in made.outs) == 200  # type: ignore[union-attr,misc]
    assert made(normal(9, CODE), normal(9, 200)).shape == (9, 200)


def of(table_head: DensityHead) -> TabularGenerator:
    torch.manual_seed(0)
    return TabularGenerator(nn.Linear(4, table_head.raw_width), table_head).eval()


def test_shares_are_those_asked_for() -> None:
    made = of(head(strength=0.5))
    shares = torch.zeros(WIDTH)
    shares[:3], shares[4:7] = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.05, 0.9, 0.05])
    shares[8:10] = torch.tensor([0.3, 0.7])
    shares[10:16] = 0.7 / 3
    match_shares(made, shares, latent_dim=4 + NOISE, rows=2**15)
    with torch.no_grad():
        drawn = (made(normal(2**15, 4 + NOISE, seed=9)) > 0).double().mean(0)
    options = [0, 1, 2, 4, 5, 6, 8, 9]
    torch.testing.assert_close(drawn[options], shares.double()[options], atol=0.017, rtol=0)


def test_given_cells_stay_and_are_what_later_columns_follow() -> None:
    layouts = [ColumnLayout(2), ColumnLayout(2)]
    kept = KeptCells([(0, 2), (1, 2), (-1, -1), (-1, -1)], given=3)
    made = DensityHead(layouts, width=6, kept=kept).eval()
    with torch.no_grad():
        for number, each in enumerate(made.parameters()):
            each.copy_(normal(*each.shape, seed=number))
    inputs = torch.tensor([[HALF, 0, 1.0]] * 500 + [[0, HALF, 1.0]] * 500)
    with torch.no_grad():
        rows = made(normal(1, CODE).expand(1000, -1), normal(1000, 4), None, kept.cells(inputs))
    assert torch.equal(rows[:, :2], inputs[:, :2])
    shares = (rows[:, 2] > 0).double().view(2, 500).mean(1)
    pairs = [[*first, *second] for first in ([HALF, 0], [0, HALF]) for second in ([HALF, 0], [0, HALF])]
    with torch.no_grad():
        densities = made.log_likelihood(normal(1, CODE).expand(4, -1), torch.tensor(pairs)).view(2, 2)
    expected = torch.softmax(densities, 1)[:, 0].double()
    torch.testing.assert_close(shares, expected, atol=0.09, rtol=0)
