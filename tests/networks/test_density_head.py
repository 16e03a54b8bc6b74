import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from wassergan.networks import DensityHead, KeptCells, TabularGenerator
from wassergan.networks.density_head import BINS, CODE, _at_quantile, _dropped
from wassergan.sampling.calibration import match_shares
from wassergan.training.optimizers import FusedAdam
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


@pytest.mark.parametrize(
    "layouts", [[OPEN, DIGITS], [ANGLE, ColumnLayout(4)], [ColumnLayout(2), NUMBER, ColumnLayout(3)]]
)
@pytest.mark.parametrize("given", [0, -1])
def test_the_chances_of_all_cells_that_are_not_given_add_up_to_one(layouts: list[ColumnLayout], given: int) -> None:
    made, kept = head(layouts), [each.width for each in layouts]
    columns = [every(each) for each in layouts]
    columns[given] = columns[given][1:2]  # one of those that it can be
    hidden = [torch.ones(width) for width in kept]
    hidden[given] = torch.zeros(kept[given])
    rows = torch.stack([torch.cat(row) for row in itertools.product(*columns)])
    values = normal(1, CODE, seed=9).expand(len(rows), -1)
    densities = made.log_likelihood(values, rows, torch.cat(hidden).expand(len(rows), -1))
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


ALL = [*LAYOUTS, ColumnLayout(3, 1, (-0.5, 0.0, 0.25), circle=True), ColumnLayout(4)]


@pytest.mark.parametrize("layouts", [ALL, [NUMBER], [ColumnLayout(2)] * 40])
def test_columns_that_are_looked_up_are_drawn_like_those_that_are_multiplied(layouts: list[ColumnLayout]) -> None:
    made = head(layouts)
    values, noise = normal(4000, CODE), normal(4000, made.noise_dim, seed=1)
    multiplied = made(values, noise).detach()
    assert made._looked_up is None
    with torch.no_grad():
        looked_up = made(values, noise)
    assert made._looked_up is not None
    apart = (multiplied - looked_up).abs().amax(1)
    # Rounding decides between options in a few rows in ten thousand.
    assert (apart > 1e-3).double().mean() < 2e-3 and apart.median() < 1e-5


@pytest.mark.parametrize("change", ["in place", "optimiser", "loaded", "replaced"])
def test_weights_that_changed_are_looked_up_anew(change: str) -> None:
    made = head(ALL)
    values, noise = normal(500, CODE), normal(500, made.noise_dim, seed=1)
    with torch.no_grad():
        before = made(values, noise)
        state = {name: each * 1.5 for name, each in made.state_dict().items()}
        if change == "in place":
            for name, each in made.named_parameters():
                each.copy_(state[name])
        elif change == "optimiser":
            optimizer = FusedAdam(made.parameters(), lr=0.05, betas=(0.9, 0.99))
            for each in made.parameters():
                each.grad = torch.ones_like(each)
            optimizer.step()
        elif change == "loaded":
            made.load_state_dict(state)
        else:
            for read in made.reads:
                read.weight = nn.Parameter(read.weight * 1.5)  # type: ignore[union-attr, operator, arg-type]
        after = made(values, noise)
        fresh = DensityHead(ALL, width=6).eval()
        fresh.load_state_dict(made.state_dict())
        assert torch.equal(after, fresh(values, noise)) and not torch.equal(after, before)


def test_dropout_leaves_out_its_share_at_random() -> None:
    hidden = torch.ones(7, 100, 99, requires_grad=True)  # no multiple of 8 numbers
    torch.manual_seed(0)
    dropped = _dropped(hidden, 0.25)
    share = (dropped == 0).double().mean()
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / hidden.numel()) ** 0.5
    assert ((dropped == 0) | (dropped == 1)).all() and not torch.equal(dropped, _dropped(hidden, 0.25))
    # Neighbours are left out independently of each other.
    pairs = (dropped.flatten()[1:] == 0) & (dropped.flatten()[:-1] == 0)
    assert abs(pairs.double().mean() - 0.0625) < 0.005
    dropped.sum().backward()
    assert hidden.grad is not None and torch.equal(hidden.grad, dropped.detach())
    assert _dropped(hidden, 0.0) is hidden


@pytest.mark.parametrize("layouts", [ALL, [OPEN], [ColumnLayout(2)] * 40])
def test_columns_are_judged_together_as_one_after_the_other(layouts: list[ColumnLayout]) -> None:
    """By the chain rule: the density of a row is the product of those of its groups, each found by itself."""
    made = head(layouts)
    values = normal(300, CODE)
    rows = made(values, normal(300, made.noise_dim, seed=1)).detach()
    columns = rows.split([layout.width for layout in layouts], 1)
    told, total = [values], torch.zeros(300)
    for group, numbers in enumerate(made._groups):
        hidden = made.reads[group](torch.cat(told, 1))
        for number, raw in zip(numbers, made._raws(group, hidden), strict=True):
            layout, column = layouts[number], columns[number]
            options, density, digits = made._parts(number, raw)
            if layout.options:
                total = total + torch.log_softmax(options, 1)[column[:, : layout.options] > 0]
            is_open = column[:, layout.open_option] > 0 if layout.options else torch.ones(300).bool()
            if layout.channel:
                bins = ((made._place(layout, column)[:, 0] + 1) * BINS / 2).long().clamp(0, BINS - 1)
                total = total + is_open * made._bins(density)[torch.arange(300), bins]
            for digit in range(layout.digits):
                place = slice(digit * layout.radix, (digit + 1) * layout.radix)
                taken = column[:, layout.options :][:, place].argmax(1)
                total = total + is_open * torch.log_softmax(digits[:, place], 1)[torch.arange(300), taken]
        told += [made._told(number, columns[number]) for number in numbers]
    torch.testing.assert_close(made.log_likelihood(values, rows), total, atol=1e-4, rtol=1e-4)


def test_an_option_without_a_chance_is_never_drawn() -> None:
    logits = torch.tensor([-1e4, 0.0, -1e4, 1.0, -1e4])
    for even in (1e-7, 0.268, 0.27, 1 - 2.0**-23):
        one_hot, option = _at_quantile(logits.expand(1, -1), torch.tensor([[even]]))
        # The second option's chance is 1 / (1 + e) = 0.26894.
        assert option.item() == (1 if even < 0.26894 else 3) and one_hot[0, option.item()] == HALF  # type: ignore[index]


def test_dropout_keeps_the_mean_of_hidden_numbers() -> None:
    made = head([ColumnLayout(3), NUMBER])
    with torch.no_grad():
        for mix in made.mixes:
            for each in mix.parameters():
                each.zero_()
        read = normal(2, 5, 6)
        whole = made._normed_and_mixed(read, dropout=0.0)
        mean = torch.stack([made._normed_and_mixed(read, dropout=0.25) for _ in range(4000)]).mean(0)
    # Of a number x, x / 0.75 or 0, the deviation is x / √3; six standard errors of the mean of 4000.
    assert ((mean - whole).abs() <= 6 * whole / (3 * 4000) ** 0.5 + 1e-6).all() and whole.max() > 0.5
