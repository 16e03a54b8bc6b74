"""What becomes of real samples that are coded, written and read again: found out before anything is trained."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """What a column or channel does not keep, by design or because the user asked for it; all else is refused.

    Args:
        name: of the column or channel.
        what: becomes of its values, as in "missing values 'n/a' come back as 'NA'".
    """

    name: str
    what: str


@dataclass(frozen=True)
class RoundTrip:
    """How samples come back.

    Args:
        parts: how many columns or channels were tried.
        noun: what they are called: `column` or `channel`.
        changed: those that do not come back letter by letter, or bit by bit.
    """

    parts: int
    noun: str = "column"
    changed: tuple[Change, ...] = ()

    def words(self) -> str:
        """One line: "as written: all 14 columns"."""
        plural = self.noun if self.parts == 1 else f"{self.noun}s"
        names = dict.fromkeys(change.name for change in self.changed)
        if not names:
            return f"as written: all {self.parts} {plural}" if self.parts > 1 else f"as written: the {self.noun}"
        change = "; ".join(f"{each.name}: {each.what}" for each in self.changed)
        verb = "changes" if len(names) == 1 else "change"
        return f"as written: {len(names)} of {self.parts} {plural} {verb}: {change}"
