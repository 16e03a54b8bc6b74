"""The position of a table column in model space: what its encoding writes there and what a generator's head draws."""

from typing import NamedTuple


class ColumnLayout(NamedTuple):
    """The layout of a column: `options` entries of a one-hot, a channel, and `digits` one-hots of `radix` entries.

    Args:
        options: entries of the one-hot; 0 if there is none.
        open_option: the option whose rows the channel or the digits distinguish; -1 if there is none.
        places: the channel's value under each option (anything for the open one); empty if there is no channel.
            A channel without options is always open.
        digits: how many one-hots follow, 0 everywhere unless the open option is taken.
        radix: entries of each.
        circle: the channel is two numbers, a point on a circle; the value is its angle from the first axis in half
            turns.
    """

    options: int
    open_option: int = -1
    places: tuple[float, ...] = ()
    digits: int = 0
    radix: int = 0
    circle: bool = False

    @property
    def channel(self) -> int:
        """Numbers in the channel; 0 if there is none."""
        return bool(self.places) * (1 + self.circle)

    @property
    def entries(self) -> int:
        """Entries of all one-hots."""
        return self.options + self.digits * self.radix

    @property
    def width(self) -> int:
        """Numbers in model space."""
        return self.entries + self.channel

    @property
    def is_entry(self) -> list[bool]:
        """For each number in model space, in order, whether it is an entry of a one-hot rather than a channel."""
        return [True] * self.options + [False] * self.channel + [True] * (self.digits * self.radix)
