from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from wassergan.networks import TableHead, TabularGenerator
from wassergan.networks.column_sequence import ColumnSequence
from wassergan.sampling.calibration import calibrate_marginals, match_shares
from wassergan.utils.column_layout import ColumnLayout

LAYOUTS = [
    ColumnLayout(3),
    ColumnLayout(3, 1, (-0.5, 0.0, 0.25)),
    ColumnLayout(0, places=(0.0,)),
    ColumnLayout(2, 1, (), 2, 3),
]
WIDTHS, NOISE, STATE = [3, 4, 1, 8], 14, 5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def head(*, strength: float = 1.0) -> TableHead:
    made = TableHead(LAYOUTS)
    made.draw_in_sequence(STATE)
    with torch.no_grad():
        for number, each in enumerate(made.parameters()):
            each.copy_(strength * normal(*each.shape, seed=number))
    return made


@given(st.lists(st.integers(1, 9), min_size=2, max_size=70))
def test_groups_are_all_columns_in_their_order_of_nearly_one_size(widths: list[int]) -> None:
    sequence = ColumnSequence(widths, width=2)
    groups = [list(range(first, last + 1)) for first, last in sequence.groups]
    assert sum(groups, []) == list(range(len(widths)))
    assert len(groups) == min(16, len(widths))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert [read.weight.shape[0] for read in sequence.reads] == [sum(widths[n] for n in group) for group in groups]


def test_a_new_sequence_changes_nothing() -> None:
    plain, followed = TableHead(LAYOUTS), TableHead(LAYOUTS)
    followed.draw_in_sequence(STATE)
    values, noise = normal(400, 16 + STATE), normal(400, NOISE, seed=1)
    assert (plain.raw_width, followed.raw_width) == (16, 16 + STATE)
    assert torch.equal(followed(values, noise), plain(values[:, :16], noise))


def test_one_column_follows_none() -> None:
    alone = TableHead(LAYOUTS[:1])
    alone.draw_in_sequence(STATE)
    assert alone.sequence is None and alone.raw_width == 3 and not list(alone.parameters())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_column_that_does_not_vary_draws_nothing(place: int) -> None:
    layouts = [ColumnLayout(3), ColumnLayout(0, places=(0.0,))]
    made = TableHead([*layouts[:place], ColumnLayout(0), *layouts[place:]])
    made.draw_in_sequence(STATE)
    assert made.raw_width == 4 + STATE
    assert made(normal(7, 4 + STATE), normal(7, 3)).shape == (7, 4)
    only = TableHead([ColumnLayout(0), ColumnLayout(3)])
    only.draw_in_sequence(STATE)
    assert only.sequence is None and only(normal(7, 3), normal(7, 3)).shape == (7, 3)


def test_each_column_is_drawn_from_what_was_drawn_before_it() -> None:
    made = head()
    values, noise = normal(300, 16 + STATE, seed=50), normal(300, NOISE, seed=51)
    rows = made(values, noise)
    weights = dict(made.named_parameters())
    state = values[:, 16:]
    starts = [0, 3, 7, 8, 16]
    noises = [0, 3, 6, 6, 14]
    for number, layout in enumerate(LAYOUTS):
        reading = nn.functional.leaky_relu(state, 0.1) @ weights[f"sequence.reads.{number}.weight"].T
        raw = values[:, starts[number] : starts[number + 1]] + reading + weights[f"sequence.reads.{number}.bias"]
        # The column alone, under a head of its own that draws it from these raw values.
        alone = TableHead([layout])(raw, noise[:, noises[number] : noises[number + 1]])
        drawn = rows[:, starts[number] : starts[number + 1]]
        torch.testing.assert_close(drawn, alone, atol=1e-5, rtol=0)
        if number < 3:
            state = state + drawn @ weights[f"sequence.adds.{number}.weight"].T


def test_a_later_column_can_copy_an_earlier_one_that_was_left_to_chance() -> None:
    made = TableHead([ColumnLayout(3), ColumnLayout(3)])
    made.draw_in_sequence(3)
    with torch.no_grad():
        assert made.sequence is not None
        for each, to in ((made.sequence.adds[0], 1.0), (made.sequence.reads[1], 100.0)):
            assert isinstance(each, nn.Linear)
            each.weight.copy_(to * torch.eye(3))
    rows = made(torch.zeros(1000, 9), normal(1000, 6))
    assert torch.equal(rows[:, :3], rows[:, 3:])
    assert (rows[:, :3] > 0).float().mean(0).min() > 0.28


def test_expected_columns_are_the_means_over_their_own_noise_given_those_before() -> None:
    made = head(strength=0.5)
    starts, noises = [0, 3, 7, 8, 16], [0, 3, 6, 6, 14]
    values, noise = normal(1, 16 + STATE, seed=3), normal(1, NOISE, seed=4)
    count = 40_000
    expected = made.expected(values, noise)[0].double()
    for number, (first, end) in enumerate(pairwise(noises)):
        several = noise.repeat(count, 1)
        several[:, first:end] = normal(count, end - first, seed=10 + number)
        drawn = made(values.expand(count, -1), several).double().mean(0)
        entries = torch.zeros(16, dtype=torch.bool)
        entries[starts[number] : starts[number + 1]] = True
        entries &= made.is_option
        torch.testing.assert_close(expected[entries], drawn[entries], atol=0.0125, rtol=0)


def test_all_that_is_drawn_learns_through_the_columns_after_it() -> None:
    made = head()
    values = normal(256, 16 + STATE).requires_grad_()
    rows = made(values, normal(256, NOISE, seed=1))
    rows[:, 8:].square().sum().backward()  # of the last column alone
    assert values.grad is not None
    # A raw value beside the open option's channel, or a column's only level, may be without effect; most are not.
    assert (values.grad[:, [0, 1, 2, 3, 4, 5, 6, 7]].abs().sum(0) > 0).all()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in made.parameters())


def of(table_head: TableHead) -> TabularGenerator:
    torch.manual_seed(0)
    return TabularGenerator(nn.Linear(4, table_head.raw_width), table_head).eval()


def test_shares_are_those_asked_for_though_columns_follow_each_other() -> None:
    made = of(head(strength=2.0))
    shares = torch.tensor([0.5, 0.3, 0.2, 0.05, 0.9, 0.05, 0, 0, 0.3, 0.7, *[0.7 / 3] * 6])
    match_shares(made, shares, latent_dim=4 + NOISE, rows=2**15)
    with torch.no_grad():
        drawn = (made(normal(2**15, 4 + NOISE, seed=9)) > 0).double().mean(0)
    options = [0, 1, 2, 3, 4, 5, 8, 9]
    # Four standard errors of a share of two samples of 2^15, or a hundredth.
    torch.testing.assert_close(drawn[options], shares.double()[options], atol=0.017, rtol=0)


def test_bends_change_no_column_that_follows() -> None:
    made = head(strength=2.0)
    values, noise = normal(500, 16 + STATE), normal(500, NOISE, seed=1)
    before = made(values, noise)
    made.calibration.set_quantile_map(1, torch.linspace(-1, 1, 5), torch.tensor([-1, -0.9, -0.8, 0, 1.0]))
    after = made(values, noise)
    assert torch.equal(before[:, :6], after[:, :6]) and torch.equal(before[:, 7:], after[:, 7:])
    is_open = before[:, 4] > 0
    assert torch.equal(before[~is_open, 6], after[~is_open, 6])
    assert (before[is_open, 6] != after[is_open, 6]).float().mean() > 0.9


def test_calibration_twice_is_calibration_once() -> None:
    """What a first calibration left must not change what a second one finds."""

    class Codec:
        shares = (0.5, 0.3, 0.2, 0.05, 0.9, 0.05, 0, 0, 0.3, 0.7, *[0.7 / 3] * 6)
        spread = tuple(tuple(row) for row in torch.linspace(-0.5, 0.5, 9).repeat(2, 1).tolist())
        strata = ()

    made = of(head())
    latent = normal(300, 4 + NOISE, seed=2)
    rows = []
    for _ in range(2):
        calibrate_marginals(made, Codec(), latent_dim=4 + NOISE, rows=2**12)  # type: ignore[arg-type]
        with torch.no_grad():
            rows.append(made(latent))
    assert torch.equal(*rows)


@pytest.mark.parametrize("training", [False, True])
def test_heads_multiply_in_float32_where_bodies_use_bf16(training: bool) -> None:
    made = of(head()).train(training)
    latent = normal(64, 4 + NOISE)
    with torch.autocast("cpu", torch.bfloat16):
        raw, rows = made.body(latent[:, :4]), made(latent)
    assert raw.dtype == torch.bfloat16
    torch.testing.assert_close(rows, made.head(raw.float(), latent[:, 4:]), atol=0 if training else 1e-6, rtol=0)
