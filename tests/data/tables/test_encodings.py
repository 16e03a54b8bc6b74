import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wassergan.data.tables.encodings import CategoryCoding, NumberCoding, coding_from_state

HALF = 0.5**0.5


def test_frequent_numbers_are_options_and_others_have_a_place_between_the_quantiles() -> None:
    # 50 zeros of 100 rows; 50 different others, one row each. In the channel the zeros count as one row.
    values = np.concatenate([np.zeros(50), np.arange(1.0, 51.0)])
    coding = NumberCoding.fit(values, missing=False)
    assert (coding.frequent, coding.others, coding.low, coding.high) == ((0.0,), True, 0.0, 50.0)
    assert tuple(coding.layout) == (2, 1, (-1.0, 0.0), 0, 0, False) and coding.layout.width == 3
    encoded = coding.encode(np.array([0.0, 50.0, 25.0]))
    np.testing.assert_allclose(encoded, [[HALF, 0, -1], [0, HALF, 1], [0, HALF, 0]], atol=1e-7)
    np.testing.assert_array_equal(coding.decode(encoded), [0, 50, 25])


def test_missing_numbers_are_an_option_with_the_channel_at_rest() -> None:
    values = np.concatenate([np.full(5, np.nan), np.linspace(0, 1, 95)])
    coding = NumberCoding.fit(values, missing=True)
    encoded = coding.encode(np.array([np.nan, 1.0]))
    np.testing.assert_allclose(encoded, [[0, HALF, 0], [HALF, 0, 1]], atol=1e-7)
    np.testing.assert_array_equal(coding.decode(encoded), [np.nan, 1])


def test_a_constant_has_no_width_and_comes_back() -> None:
    coding = NumberCoding.fit(np.full(40, 7.0), missing=False)
    assert coding.layout.width == 0 and coding.told() == "constant"
    np.testing.assert_array_equal(coding.decode(coding.encode(np.array([7.0, 7.0]))), [7, 7])
    with_holes = NumberCoding.fit(np.array([7.0, np.nan] * 20), missing=True)
    assert with_holes.layout.width == 2
    np.testing.assert_array_equal(with_holes.decode(with_holes.encode(np.array([np.nan, 7]))), [np.nan, 7])


def test_the_channel_is_even_for_any_law_and_ends_at_the_extremes() -> None:
    values = np.random.default_rng(0).standard_cauchy(5000)
    coding = NumberCoding.fit(values, missing=False)
    channel = np.sort(coding.encode(values)[:, 0])
    np.testing.assert_allclose(channel, np.linspace(-1, 1, 5000), atol=2e-3)
    np.testing.assert_allclose(coding.decode(np.array([[-1.0], [1.0]], np.float32)), [values.min(), values.max()])
    # Beyond the ends there is nothing.
    np.testing.assert_allclose(coding.decode(np.array([[-3.0], [3.0]], np.float32)), [values.min(), values.max()])


def test_angles_lie_on_a_circle_where_both_ends_of_the_turn_are_one() -> None:
    values = np.random.default_rng(0).uniform(0, 360, 1000)
    coding = NumberCoding.fit(values, missing=False, turn=(0.0, 360.0))
    assert (coding.layout.channel, coding.layout.width, coding.told()) == (2, 2, "circle")
    encoded = coding.encode(np.array([0.0, 90.0, 180.0, 270.0, 360.0]))
    # Places run from -1 at 0 to 1 at 360, so that 180 is the point straight ahead. Mean square 1/3, as of even numbers.
    radius = 3**-0.5
    expected = [[-radius, 0], [0, -radius], [radius, 0], [0, radius], [-radius, 0]]
    np.testing.assert_allclose(encoded, expected, atol=1e-7)
    again = coding_from_state(coding.state())
    np.testing.assert_allclose(again.decode(coding.encode(values)), values, atol=1e-4)
    # Only the direction counts, and nothing outside the values that there were is written.
    np.testing.assert_allclose(coding.decode(np.array([[0.0, 9.0], [0.1, 0.1]], np.float32)), [270, 225], atol=1e-4)
    ends = coding.decode(np.array([[-1, 1e-6], [-1, -1e-6]], np.float32))
    np.testing.assert_array_equal(ends, [values.max(), values.min()])


def test_angles_have_frequent_and_missing_ones_too() -> None:
    values = np.concatenate([np.zeros(50), np.linspace(-3, 3, 100), np.full(10, np.nan)])
    coding = NumberCoding.fit(values, missing=True, turn=(-np.pi, np.pi))
    assert (coding.layout.options, coding.layout.open_option, coding.layout.width) == (3, 1, 5)
    block = coding.encode(np.array([0.0, np.pi / 2, np.nan]))
    np.testing.assert_allclose(block[:, 3:], np.array([[1, 0], [0, 1], [1, 0]]) / 3**0.5, atol=1e-7)
    np.testing.assert_allclose(coding.decode(block), [0, np.pi / 2, np.nan], atol=1e-6)
    assert coding.told() == "1 frequent value + circle + missing"


def test_heavy_tails_keep_their_most_extreme_values() -> None:
    values = np.exp(3 * np.random.default_rng(0).normal(size=20_000))
    coding = NumberCoding.fit(values, missing=False)
    extreme = np.sort(values)[-10:]
    np.testing.assert_allclose(coding.decode(coding.encode(extreme)), extreme, rtol=1e-3)


def test_numbers_that_come_back_are_all_there_are() -> None:
    values = np.repeat([0.0, 10.0, 1000.0], [300, 300, 300]) + np.tile([0.0, 1, 2, 3, 4] * 12, 15)
    coding = NumberCoding.fit(np.repeat(values, 1), missing=False)
    places = np.linspace(-1, 1, 999, dtype=np.float32)
    block = np.zeros((999, coding.layout.width), np.float32)
    if coding.layout.options:
        block[:, coding.layout.open_option] = 1
    block[:, -1] = places
    assert set(coding.decode(block).tolist()) <= set(values.tolist())


@given(
    st.lists(st.one_of(st.none(), st.integers(-50, 50)), min_size=30, max_size=300).filter(
        lambda values: any(value is not None for value in values)
    )
)
def test_whole_numbers_come_back_exactly(values: list[int | None]) -> None:
    column = np.array([np.nan if value is None else float(value) for value in values])
    coding = NumberCoding.fit(column, missing=bool(np.isnan(column).any()))
    again = coding_from_state(coding.state())
    np.testing.assert_array_equal(np.round(again.decode(again.encode(column))), column)


@given(st.integers(1, 900), st.booleans(), st.integers(0, 2**32 - 1))
def test_levels_come_back_exactly(levels: int, missing: bool, seed: int) -> None:
    numbers = np.random.default_rng(seed)
    values = (levels * numbers.random(2000) ** 3).astype(np.int64).astype(float)
    if missing:
        values[::7] = np.nan
    coding = CategoryCoding.fit(values, levels=levels, missing=missing)
    every = np.append(np.arange(levels, dtype=float), [np.nan] if missing else [])
    again = coding_from_state(coding.state())
    np.testing.assert_array_equal(again.decode(again.encode(every)), every)


def test_one_hots_of_two_levels_are_one_apart() -> None:
    one, two = CategoryCoding.fit(np.array([0.0, 1, 2]), levels=3, missing=False).encode(np.array([0.0, 2.0]))
    assert np.linalg.norm(one - two) == pytest.approx(1)


def test_very_many_levels_take_few_numbers_and_digits_at_random_have_their_frequencies() -> None:
    shares = np.array([3.0] * 1000 + [1.0] * 99_000)
    values = np.repeat(np.arange(100_000.0), shares.astype(int))
    coding = CategoryCoding.fit(values, levels=100_000, missing=False)
    assert coding.layout.width < 150
    cells = coding.radix**coding.digits
    block = np.zeros((cells, coding.layout.width), np.float32)
    block[:, coding.layout.open_option] = 1
    digits = np.array(np.unravel_index(np.arange(cells), (coding.radix,) * coding.digits))
    for place in range(coding.digits):
        block[np.arange(cells), coding.layout.options + place * coding.radix + digits[place]] = 1
    drawn = np.bincount(coding.decode(block).astype(int), minlength=100_000) / cells
    assert (drawn > 0).all()
    # At least one cell each, the rest in proportion: between a quarter off and right.
    assert drawn[:1000].sum() == pytest.approx(3000 / 102_000, rel=0.25)
    assert drawn[1000:].mean() == pytest.approx(1 / 102_000, rel=0.05)


def test_levels_of_heldout_rows_alone_have_a_code() -> None:
    coding = CategoryCoding.fit(np.zeros(500), levels=400, missing=False)
    every = np.arange(400.0)
    np.testing.assert_array_equal(coding.decode(coding.encode(every)), every)
    number = NumberCoding.fit(np.array([1.0, 2.0] * 30), missing=False)
    np.testing.assert_array_equal(number.decode(number.encode(np.array([1.9, 77.0]))), [2, 2])


def test_a_few_numbers_are_options_each_however_rare_the_one_at_the_edge() -> None:
    values = np.repeat(np.arange(1.0, 17), [1, *[100] * 15])
    coding = NumberCoding.fit(values, missing=False)
    assert coding.layout.options == 16 and not coding.layout.channel
    assert np.array_equal(coding.decode(coding.encode(values)), values)
    many = NumberCoding.fit(np.repeat(np.arange(40.0), [1, *[100] * 39]), missing=False)
    assert many.layout.channel and many.frequent == tuple(np.arange(1.0, 40))
