import numpy as np
import torch
from torch import nn

from wassergan.data import ColumnConditions, TableCodec
from wassergan.data.tables import Stratum
from wassergan.data.tables.codec import ColumnCodec
from wassergan.data.tables.encodings import CategoryCoding
from wassergan.data.tables.formats import LevelForm
from wassergan.networks import TableHead, TabularGenerator
from wassergan.sampling.calibration import calibrate_marginals, match_shares, match_spread
from wassergan.training import sample_chunks
from wassergan.utils.column_layout import ColumnLayout

FIELDS = [ColumnLayout(4), ColumnLayout(3, 1, (-0.5, 0.0, 0.5)), ColumnLayout(2, 1, (), 1, 3)]
# Digits are taken by the rows whose option is open, 60 % of them.
WANTED = [0.9, 0.07, 0.02, 0.01, 0.5, 0.3, 0.2, 0.0, 0.4, 0.6, 0.06, 0.24, 0.3]


def generator() -> TabularGenerator:
    body = nn.Linear(5, 13)
    with torch.no_grad():
        body.weight.copy_(torch.randn(13, 5, generator=torch.Generator().manual_seed(0)))
        body.bias.zero_()
    return TabularGenerator(body, TableHead(FIELDS)).eval()


def test_options_are_drawn_with_the_shares_that_are_wanted_and_channels_are_left_alone() -> None:
    made = generator()
    latent_dim = 5 + made.head.noise_dim
    match_shares(made, torch.tensor(WANTED), latent_dim=latent_dim, rounds=8)
    rows = torch.cat(list(sample_chunks(made, 40_000, latent_dim=latent_dim, seed=0)))
    drawn = (rows > 0).double().mean(0)
    options = [place for place in range(13) if place != 7]
    # Five standard errors of a half.
    torch.testing.assert_close(drawn[options], torch.tensor(WANTED).double()[options], atol=0.0125, rtol=0)
    assert made.head.calibration.shift[0, 7] == 0


def test_options_that_the_latent_vector_all_but_decides_get_their_shares_too() -> None:
    # Along the first latent number the four options follow each other: logit k = 4 (k z - k² / 2).
    body = nn.Linear(5, 4)
    order = torch.arange(4.0)
    with torch.no_grad():
        body.weight.zero_()
        body.weight[:, 0] = 4 * order
        body.bias.copy_(-2 * order**2)
    made = TabularGenerator(body, TableHead([ColumnLayout(4)])).eval()
    wanted = torch.tensor([0.5, 0.3, 0.15, 0.05])
    match_shares(made, wanted, latent_dim=9)
    rows = torch.cat(list(sample_chunks(made, 2**17, latent_dim=9, seed=0)))
    # Four standard errors of a half, of 2^16 rows matched and of 2^17 drawn: 4 · ½ √(1/2^16 + 1/2^17).
    torch.testing.assert_close((rows > 0).double().mean(0), wanted.double(), atol=0.0096, rtol=0)


def test_matching_anew_starts_from_nothing_and_no_checkpoint_keeps_it() -> None:
    made = generator()
    latent_dim = 5 + made.head.noise_dim
    shifts = []
    for _ in range(2):
        match_shares(made, torch.tensor(WANTED), latent_dim=latent_dim, rows=2000)
        shifts.append(made.head.calibration.shift.clone())
    assert torch.equal(*shifts) and shifts[0].abs().max() > 0.5
    assert set(made.state_dict()) == {"body.weight", "body.bias"}


def test_a_level_that_no_row_has_is_never_drawn() -> None:
    made = generator()
    wanted = torch.tensor([1.0, 0, 0, 0, *WANTED[4:]])
    match_shares(made, wanted, latent_dim=5 + made.head.noise_dim, rows=2000)
    assert made.head.calibration.shift.isfinite().all()
    rows = torch.cat(list(sample_chunks(made, 20_000, latent_dim=5 + made.head.noise_dim, seed=0)))
    assert (rows[:, 0] > 0).all() and not rows[:, 1:4].any()


SPREAD = [torch.linspace(0, 1, 101) ** 2 * 2 - 1]  # most values near -1


def test_channels_get_the_quantiles_that_are_wanted_and_keep_their_order() -> None:
    made = generator()
    latent_dim = 5 + made.head.noise_dim

    def drawn() -> torch.Tensor:
        return torch.cat(list(sample_chunks(made, 40_000, latent_dim=latent_dim, seed=0)))

    before = drawn()
    match_spread(made, torch.stack(SPREAD), latent_dim=latent_dim)
    after = drawn()
    is_open = before[:, 5] > 0
    told, straight = after[is_open, 7], before[is_open, 7]
    found = torch.quantile(told[:16_000], torch.linspace(0, 1, 101))
    # Of 16 000 values a share is told to 4 standard errors of a half; the density is at least 1/8 here.
    torch.testing.assert_close(found, SPREAD[0], atol=0.08, rtol=0)
    assert (straight.mean() - SPREAD[0].mean()).abs() > 0.3  # there was something to set right
    order = straight.argsort()
    assert (told[order].diff() >= 0).all()
    others = [place for place in range(13) if place != 7]
    assert torch.equal(after[:, others], before[:, others])
    assert torch.equal(after[~is_open], before[~is_open])


def test_bending_anew_starts_straight_and_no_checkpoint_keeps_it() -> None:
    made = generator()
    latent_dim = 5 + made.head.noise_dim
    maps = []
    for _ in range(2):
        match_spread(made, torch.stack(SPREAD), latent_dim=latent_dim, rows=3000)
        maps.append(made.head.calibration.get_buffer("knots_1").clone())
    assert torch.equal(*maps)
    assert set(made.state_dict()) == {"body.weight", "body.bias"}


def test_a_channel_that_always_says_the_same_stays_finite() -> None:
    body = nn.Linear(5, 13)
    nn.init.zeros_(body.weight)
    made = TabularGenerator(body, TableHead(FIELDS)).eval()
    latent_dim = 5 + made.head.noise_dim
    match_spread(made, torch.stack(SPREAD), latent_dim=latent_dim, rows=3000)
    rows = torch.cat(list(sample_chunks(made, 1000, latent_dim=latent_dim, seed=0)))
    assert rows.isfinite().all() and rows[:, 7].abs().max() <= 1


def test_rows_of_a_stratum_get_its_margins_and_others_those_of_all_rows() -> None:
    # A condition of two categories, of 3 and 2 levels, whose first numbers come before the latent vector.
    levels = np.array([[0, 0]] * 3000 + [[0, 1]] * 2000 + [[1, 0]] * 2000 + [[2, 1]] * 20, float)
    context = TableCodec(
        [
            ColumnCodec(name, "category", CategoryCoding(count, tuple(range(count)), False), LevelForm(("a", "b", "c")))
            for name, count in (("x", 3), ("y", 2))
        ]
    )
    conditions = ColumnConditions(context, levels)
    body = nn.Linear(5 + 3, 4 + 1)
    with torch.no_grad():
        body.weight.copy_(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
        body.bias.zero_()
    made = TabularGenerator(body, TableHead([ColumnLayout(4), ColumnLayout(0, places=(0.0,))])).eval()
    latent_dim, everywhere, up, down = 3 + 4, [0.4, 0.3, 0.2, 0.1], torch.linspace(0, 1, 9), torch.linspace(-1, 0, 9)
    strata = [
        Stratum((0, 3), (0.7, 0.1, 0.1, 0.1, 0.0), (tuple(up.tolist()),)),
        Stratum((1, 3), (0.0, 0.5, 0.25, 0.25, 0.0), (tuple(down.tolist()),)),
        Stratum((2, 3), (0.25, 0.25, 0.25, 0.25, 0.0), (tuple(down.tolist()),)),  # that no row of the pool has
    ]
    codec = TableCodec([], shares=[*everywhere, 0.0], spread=[torch.linspace(-1, 1, 9).tolist()], strata=strata)
    calibrate_marginals(made, codec, latent_dim=latent_dim, conditions=conditions)
    drawn = torch.cat(list(sample_chunks(made, 60_000, latent_dim=latent_dim, seed=0, conditions=conditions)))
    asked = conditions.rows(0, 60_000, seed=0)

    def of(x: int, y: int) -> torch.Tensor:
        return drawn[torch.from_numpy((asked == [x, y]).all(1))]

    # Five standard errors of a half, of 17 000 rows drawn and of 2^16 / 3 matched.
    for rows, stratum in ((of(0, 0), strata[0]), (of(1, 0), strata[1])):
        shares = (rows[:, :4] > 0).double().mean(0)
        torch.testing.assert_close(shares, torch.tensor(stratum.shares[:4]).double(), atol=0.026, rtol=0)
        wanted = torch.tensor(stratum.spread[0])
        found = torch.quantile(rows[:16_000, 4], torch.linspace(0, 1, 9))
        torch.testing.assert_close(found, wanted, atol=0.03, rtol=0)
    assert not (of(1, 0)[:, 0] > 0).any()  # an option that no row of the stratum has
    # Rows that belong to no stratum are drawn as a generator without strata draws them.
    plain = TabularGenerator(body, TableHead([ColumnLayout(4), ColumnLayout(0, places=(0.0,))])).eval()
    alike = TableCodec([], shares=codec.shares, spread=codec.spread)
    calibrate_marginals(plain, alike, latent_dim=latent_dim, conditions=conditions)
    general = torch.cat(list(sample_chunks(plain, 60_000, latent_dim=latent_dim, seed=0, conditions=conditions)))
    outside = torch.from_numpy((asked == [0, 1]).all(1) | (asked == [2, 1]).all(1))
    assert torch.equal(drawn[outside], general[outside]) and not torch.equal(drawn[~outside], general[~outside])
    # Anew from the start, and nothing of it is kept.
    shifts = made.head.calibration.shift.clone()
    calibrate_marginals(made, codec, latent_dim=latent_dim, conditions=conditions)
    assert torch.equal(made.head.calibration.shift, shifts) and set(made.state_dict()) == {"body.weight", "body.bias"}


def test_angles_are_turned_until_they_have_the_quantiles_that_are_wanted() -> None:
    body = nn.Linear(2, 2)
    with torch.no_grad():
        body.weight.copy_(torch.eye(2))
        body.bias.copy_(torch.tensor([0.8, 0.0]))  # most arrows to the right
    made = TabularGenerator(body, TableHead([ColumnLayout(0, places=(0.0,), circle=True)])).eval()
    match_spread(made, torch.linspace(-1, 1, 101)[None], latent_dim=2)
    rows = torch.cat(list(sample_chunks(made, 40_000, latent_dim=2, seed=0)))
    torch.testing.assert_close(rows.norm(dim=1), torch.full((40_000,), 3**-0.5))
    places = made.head.told(0, rows)
    # Even on the whole turn: a share is told to 4 standard errors of a half, of 2^16 and of 40 000 rows.
    for place in (-0.5, 0.0, 0.5):
        assert abs((places < place).double().mean() - (1 + place) / 2) < 0.013
