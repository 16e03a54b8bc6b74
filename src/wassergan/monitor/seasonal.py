"""A monitor for data with seasons."""

from collections.abc import Mapping
from typing import Any

from wassergan.errors import UserError, unknown_name
from wassergan.monitor.batch_report import BatchReport
from wassergan.monitor.evidence import Evidence
from wassergan.monitor.monitor import W1Monitor


class SeasonalMonitor:
    """One monitor for each season, such as an hour or a weekday: a batch is compared with the reference of its season.

    The evidence of all seasons goes into one alarm: their p-values are of different rows, so they are independent.
    """

    def __init__(self, references: Mapping[Any, Any], **settings: Any) -> None:
        """Read a reference for each season.

        Args:
            references: by season; a number counts as its text.
            settings: of each monitor, see `W1Monitor`.

        Raises:
            UserError: there is none, two are called the same, or one cannot be read.
        """
        if not references:
            raise UserError("A seasonal monitor needs a reference for each season", found="none")
        names = [str(season) for season in references]
        if len(set(names)) < len(names):
            raise UserError("Two seasons have the same name", found=", ".join(map(repr, references)))
        self._monitors = {
            str(season): W1Monitor(each, **{**settings, "place": place})
            for place, (season, each) in enumerate(references.items())
        }
        first, *others = self._monitors.values()
        self.alpha = first.alpha
        for each in others:
            each.share_evidence(first)

    @property
    def evidence(self) -> Evidence:
        """Of the stream so far."""
        return next(iter(self._monitors.values())).evidence

    def check(self, batch: Any, *, season: object) -> BatchReport:
        """Compare a batch with the reference of its season; see `W1Monitor.check`.

        Raises:
            UserError: an unknown season, or as there.
        """
        name = str(season)
        if name not in self._monitors:
            raise unknown_name("season", name, self._monitors)
        return self._monitors[name].check(batch, season=name)

    def state_dict(self) -> dict[str, Any]:
        """What goes on from batch to batch."""
        return {season: each.state_dict() for season, each in self._monitors.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            UserError: the state is of other seasons, or of another reference, seed or alpha.
        """
        if list(state) != list(self._monitors):
            raise UserError("The state has other seasons", found=", ".join(map(str, state)), hint="start a new state")
        for season, each in self._monitors.items():
            each.load_state_dict(state[season])
