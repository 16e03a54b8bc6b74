"""Evidence of a change in a stream: an alarm whose error rate holds for the whole stream, whenever one looks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wassergan.errors import UserError
from wassergan.monitor.permutation import Floats

# Exponents of the bets: small ones pay for tiny p-values, large ones for p-values that are a little too small.
POWERS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8)

MOST_BATCHES = 2**53


@dataclass(frozen=True)
class Evidence:
    """What the p-values of a stream say so far.

    Attributes:
        e_value: the largest capital so far. Without a change, it ever reaches 1 / a with probability at most a.
        p_value: 1 / e_value, at most 1: an anytime-valid p-value.
        batches: p-values so far.
        alarm_at: number of the batch, from 1 on, at which the e-value reached 1 / alpha; None before.
        changed_since: the start of the stretch that contributes most to the capital: where the change is likely to be.
    """

    e_value: float
    p_value: float
    batches: int
    alarm_at: int | None
    changed_since: int | None


class EvidenceProcess:
    """Bets on p-values: a mixture of capitals that start at every batch k with weight 1 / (k (k + 1)).

    A capital that starts at batch k multiplies e p_t^(e - 1) over t ≥ k, with mean at most 1 for p-values that are
    (super-)uniform given the others (Shafer et al. 2011, arXiv 0912.4269). The mixture over e and k starts at 1 and is
    bounded by a martingale, so it ever reaches 1 / a with probability at most a (Ville 1939). A change at batch k costs
    a factor of k (k + 1) only: a long quiet stretch before it is no burden.
    """

    def __init__(self, alpha: float) -> None:
        """Start without evidence.

        Args:
            alpha: probability of an alarm, ever, if nothing changes.
        """
        self.alpha = alpha
        self._logs: Floats = np.full(len(POWERS), -np.inf)  # of the weighted capitals that have started
        self._batches, self._best = 0, 0.0
        self._alarm_at: int | None = None
        self._since: int | None = None
        self._run_logs: Floats = np.zeros(len(POWERS))
        self._run_starts = np.ones(len(POWERS), np.int64)

    def update(self, p_value: float) -> Evidence:
        """Bet on the next p-value, in (0, 1].

        Raises:
            UserError: it is no p-value.
        """
        if not 0 < p_value <= 1:
            raise UserError("A p-value lies above 0 and is at most 1", found=f"{p_value}")
        self._batches += 1
        k = self._batches
        powers = np.array(POWERS)
        gains = np.log(powers) + (powers - 1) * math.log(p_value)
        start = -math.log(k) - math.log(k + 1)
        self._logs = np.logaddexp(self._logs, start) + gains
        # The best stretch that ends here, per power, as in a cumulative sum (Page 1954).
        renewed = self._run_logs <= 0
        self._run_starts = np.where(renewed, k, self._run_starts)
        self._run_logs = np.where(renewed, 0.0, self._run_logs) + gains
        waiting = -math.log(k + 1)  # the weight of the capitals that have not started
        total = float(np.logaddexp(np.logaddexp.reduce(self._logs) - math.log(len(POWERS)), waiting))
        if total > self._best:
            self._best = total
            self._since = int(self._run_starts[int(np.argmax(self._run_logs))])
        if self._alarm_at is None and total >= -math.log(self.alpha):
            self._alarm_at = k
        return self.evidence()

    def evidence(self) -> Evidence:
        """What there is so far."""
        e_value = math.exp(min(self._best, 700.0))
        return Evidence(e_value, 1 / e_value, self._batches, self._alarm_at, self._since if self._best > 0 else None)

    def state_dict(self) -> dict[str, Any]:
        """Plain values, for `load_state_dict`."""
        return {
            "alpha": self.alpha,
            "logs": self._logs.tolist(),
            "batches": self._batches,
            "best": self._best,
            "alarm_at": self._alarm_at,
            "since": self._since,
            "run_logs": self._run_logs.tolist(),
            "run_starts": self._run_starts.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            UserError: it is of another alpha, or damaged.
        """
        if state["alpha"] != self.alpha:
            raise UserError(
                "The evidence was gathered for another alpha",
                found=f"{state['alpha']:g} instead of {self.alpha:g}",
                hint="keep alpha for the whole stream, or start a new state",
            )
        batches, best = state["batches"], state["best"]
        logs, run_logs = (np.array(state[name], np.float64) for name in ("logs", "run_logs"))
        starts = np.array(state["run_starts"])
        alarm_at, since = state["alarm_at"], state["since"]
        is_sound = (
            (type(batches), type(best)) == (int, float)
            and 0 <= batches < MOST_BATCHES
            and 0 <= best < math.inf
            and (alarm_at is None) == (best < -math.log(self.alpha))
            and logs.shape == run_logs.shape == starts.shape == (len(POWERS),)
            and bool((logs < np.inf).all() and np.isfinite(run_logs).all())
            and starts.dtype == np.int64
            and bool((starts >= 1).all() and (starts <= max(batches, 1)).all())
            and all(each is None or (type(each) is int and 1 <= each <= batches) for each in (alarm_at, since))
        )
        if not is_sound:
            raise UserError("The state is damaged", found="evidence that no monitor writes", hint="start a new state")
        self._logs, self._run_logs, self._run_starts = logs, run_logs, starts
        self._batches, self._best, self._alarm_at, self._since = batches, best, alarm_at, since
