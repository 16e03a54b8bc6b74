import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wassergan.networks import TableHead
from wassergan.utils.column_layout import ColumnLayout

OPTIONS = st.integers(2, 5).map(lambda options: ColumnLayout(options))
ANGLES_AND_NUMBERS = st.builds(lambda circle: ColumnLayout(0, places=(0.0,), circle=circle), st.booleans())
OPEN = st.builds(
    lambda options, circle: ColumnLayout(options, options - 1, (0.0,) * options, circle=circle),
    st.integers(2, 5),
    st.booleans(),
)
DIGITS = st.builds(lambda options, digits, radix: ColumnLayout(options, 0, (), digits, radix), *[st.integers(2, 4)] * 3)


# What a coding writes and what a head draws are one description: as many numbers, one-hots in the same places.
@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(OPTIONS, ANGLES_AND_NUMBERS, OPEN, DIGITS), min_size=1, max_size=4))
def test_a_head_draws_the_numbers_that_its_layouts_say(layouts: list[ColumnLayout]) -> None:
    head = TableHead(layouts)
    width = sum(layout.width for layout in layouts)
    rows = head(torch.randn(64, width), torch.randn(64, head.noise_dim))
    assert rows.shape == (64, width) and head.is_option.shape == (width,)
    start = 0
    for layout in layouts:
        block, entries = rows[:, start : start + layout.width], torch.tensor(layout.is_entry)
        assert len(entries) == layout.width == layout.entries + layout.channel
        assert torch.equal(head.is_option[start : start + layout.width], entries)
        assert len(block[:, entries].unique()) <= 2  # 0, and the height of a one-hot
        start += layout.width
