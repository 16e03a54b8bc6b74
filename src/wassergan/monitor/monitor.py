"""A monitor: batches against a reference, with distances, exact p-values and evidence over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data.measured import Reading
from wassergan.data.tables import Schema
from wassergan.distances.arguments import check_confidence, check_count, check_names, check_number, shown
from wassergan.distances.exact import Transport, exact_w1
from wassergan.errors import UserError, shortened
from wassergan.evaluation.datasets.ground import check_scale
from wassergan.monitor.batch_report import ROWS_SHOWN, BatchReport, MovedRow
from wassergan.monitor.columns import MOST_TESTED, ColumnDrift, column_drifts
from wassergan.monitor.correction import corrected
from wassergan.monitor.embedding import Embedding
from wassergan.monitor.evidence import MOST_BATCHES, Evidence, EvidenceProcess
from wassergan.monitor.joint import joint_test
from wassergan.monitor.margins import with_margins_of_x
from wassergan.monitor.permutation import Floats, generator
from wassergan.monitor.reading import Log, Pair, pairing, silent
from wassergan.monitor.two_sample import unit_vectors
from wassergan.monitor.witness import witness_bound

_SAME = 1e-4  # two computations of the points of a row differ by less
_ANOTHER_STATE = "give the same reference and settings, or start a new state"
_FLOORS = 3  # pairs of samples of the reference whose mean distance is the floor


class W1Monitor:
    """Has a batch the distribution of a reference, by how much not, where, and how sure is that?

    Every batch gets an exact p-value of its own. The stream gets an alarm that errs with probability at most `alpha`
    ever: it bets on p-values of each batch against the reference and all earlier batches, which are independent of each
    other if nothing changes (Vovk, Gammerman and Shafer 2005), also for a small reference.
    """

    def __init__(
        self,
        reference: Any,
        *,
        alpha: float = 0.01,
        columns: Sequence[str] = (),
        schema: Schema | None = None,
        scale: str = "iqr",
        features: str = "random-conv",
        permutations: int = 999,
        rows: int = 1000,
        projections: int = 16,
        confidence: float = 0.95,
        correction: str = "holm",
        seed: int = 0,
        reading: Reading | None = None,
        place: int = 0,
        log: Log = silent,
    ) -> None:
        """Read the reference.

        Args:
            reference: a table (DataFrame, Arrow table or file), numbers (n,) or rows (n, d), or pictures.
            alpha: of alarms and of moved columns.
            columns: names of those to watch; all by default.
            schema: what the columns of tables are.
            scale: unit of numbers in the joint distance: `iqr`, `std` or `range` of the reference, or `none`.
            features: of pictures: `random-conv`, `pixels`, or a file with a module.
            permutations: of each test, at least; the smallest p-value is one over one more.
            rows: of reference and batch, drawn by seed, in the joint distance and its test. Columns use all rows.
            projections: random directions of the joint test.
            confidence: of each lower bound.
            correction: of the columns' p-values, `holm` or `benjamini-hochberg`.
            seed: of all random choices.
            reading: how files are read; see `Reading`.
            place: tells apart the random choices of monitors of one seed.
            log: gets sentences on what was decided on the way.

        Raises:
            UserError: the reference cannot be read, has fewer than two rows, or an argument is out of range.
        """
        self.alpha, self.confidence = _check_alpha(alpha), check_confidence(confidence)
        self.permutations = check_count(permutations, name="permutations", least=1)
        self.rows = check_count(rows, name="rows", least=4)
        self.projections = check_count(projections, name="projections", least=1)
        self.seed = check_count(seed, name="seed", least=0)
        check_scale(scale)
        corrected([], correction)
        self.correction = correction
        reading = reading or Reading(schema=schema)
        names = check_names(columns, name="Columns")
        self._pairing = pairing(reference, columns=names, scale=scale, features=features, reading=reading, log=log)
        if self._pairing.count < 2:
            raise UserError("A reference needs at least two rows", found=f"{self._pairing.count}")
        self._place = place
        self._drawn = self._random(10).permutation(self._pairing.count)[: 2 * self.rows]
        self._points: Floats | None = None  # of the reference, at the drawn rows
        self._pool: Floats | None = None  # of the reference and earlier batches
        self._evidence = EvidenceProcess(self.alpha)
        self.batches = 0

    @property
    def evidence(self) -> Evidence:
        """Of the stream so far."""
        return self._evidence.evidence()

    def check(self, batch: Any, *, season: str | None = None) -> BatchReport:
        """Compare a batch with the reference, and go on with the evidence of the stream.

        Args:
            batch: data of the kind of the reference, with its columns, of any number of rows above 0.
            season: shown in the report.

        Raises:
            UserError: the batch is empty, has other columns, kinds or shapes, or cannot be read, or a state that was
                loaded is of another reference. The stream stays as before.
        """
        pair = self._pairing.pair(batch)
        if pair.counts[1] == 0:
            raise UserError(f"{pair.name} holds no rows", hint="give data")
        number = self.batches + 1
        self._points = self._own_points(pair)
        chosen = self._random(11, number).permutation(pair.counts[1])[: self.rows]
        x, y = self._points[: self.rows], pair.points("y", chosen)
        pool = x if self._pool is None else self._pool
        p_value = self._p_value(x, y, number, 0)
        stream_p = p_value if self._pool is None else self._p_value(pool, y, number, 1)
        report = self._report(pair, x, y, chosen, p_value, stream_p, number, season)
        both = np.concatenate([pool, y])
        # A random part of both, whichever is whose: what is kept does not depend on which batch a row came from.
        kept = self._random(12, number).permutation(len(both))[: max(self.rows, len(x))]
        self._pool, self.batches = both[kept], number
        return report

    def _own_points(self, pair: Pair) -> Floats:
        """Of the reference at the drawn rows; refuses a state whose points are of other rows."""
        own = pair.points("x", self._drawn)
        if self._points is None:
            return own
        both = min(len(own), len(self._points))  # a state may be of another number of rows
        if own.shape[1:] != self._points.shape[1:] or not np.allclose(
            own[:both], self._points[:both], rtol=_SAME, atol=_SAME
        ):
            found = "other values at the same rows"
            raise UserError("The state is of another reference", found=found, hint=_ANOTHER_STATE)
        return own if len(own) > both else self._points

    def share_evidence(self, other: "W1Monitor") -> None:
        """Bet with the capital of another monitor, of other rows, from now on."""
        self._evidence = other._evidence

    def _random(self, *use: int) -> np.random.Generator:
        return generator(self.seed, self._place, *use)

    def _p_value(self, x: Floats, y: Floats, number: int, use: int) -> float:
        found = joint_test(
            np.concatenate([y, x]),
            len(y),
            permutations=self.permutations,
            projections=self.projections,
            seed=(self.seed, self._place, 13, number, use),
        )
        return found.p_value

    def _report(
        self,
        pair: Pair,
        x: Floats,
        y: Floats,
        chosen: NDArray[np.int64],
        p_value: float,
        stream_p: float,
        number: int,
        season: str | None,
    ) -> BatchReport:
        columns = self._columns(pair, number)
        transport = exact_w1(x, y)
        floor, floor_from = self._floor(x, y, number)
        alarm = p_value <= self.alpha
        rng = self._random(15, number)
        directions = np.concatenate([np.eye(x.shape[1]), unit_vectors(rng.standard_normal((8, x.shape[1])))])
        lower = witness_bound(x, y, directions, largest=True, confidence=self.confidence, rng=rng)
        share = self._margins_share(pair, x, chosen, transport, floor, rng) if alarm else None
        evidence = self._evidence.update(stream_p)
        return BatchReport(
            *(
                evidence.batches,
                pair.name,
                season,
                pair.counts[1],
                pair.counts[0],
                (len(x), len(y)),
                self.alpha,
                p_value,
                alarm,
            ),
            *(transport.value.item(), transport.lower, transport.upper, floor, floor_from, lower, self.confidence),
            columns,
            share,
            self._moved_rows(x, y, chosen, transport) if alarm else (),
            evidence,
            self._notes(pair, x, y),
        )

    def _columns(self, pair: Pair, number: int) -> tuple[ColumnDrift, ...]:
        return column_drifts(
            pair.columns,
            alpha=self.alpha,
            confidence=self.confidence,
            permutations=self.permutations,
            correction=self.correction,
            seed=(self.seed, self._place, 14, number),
        )

    def _floor(self, x: Floats, y: Floats, number: int) -> tuple[float, str]:
        """The mean W1 of samples of these sizes: of the reference's rows, or of all where these are too few."""
        assert self._points is not None
        rows, words = self._points, "the reference"
        if len(rows) < len(x) + len(y):
            if len(rows) >= 2 * len(y):  # a reference of the rest is a little smaller than the real one
                x = x[: len(rows) - len(y)]
            else:
                rows, words = np.concatenate([x, y]), "the pooled rows"
        found = []
        for time in range(_FLOORS):
            order = self._random(16, number, time).permutation(len(rows))
            parts = rows[order[: len(y)]], rows[order[len(y) : len(y) + len(x)]]
            found.append(exact_w1(*parts).value.item())
        return float(np.mean(found)), words

    def _margins_share(
        self,
        pair: Pair,
        x: Floats,
        chosen: NDArray[np.int64],
        transport: Transport,
        floor: float,
        rng: np.random.Generator,
    ) -> float | None:
        embedding = self._pairing.embedding
        above = transport.value.item() - floor
        if embedding is None or above <= 0:
            return None
        aligned = embedding.points(with_margins_of_x(pair.columns, chosen, rng), "y", slice(None))
        left = exact_w1(x, aligned).value.item() - floor
        return float(np.clip(1 - left / above, 0.0, 1.0))

    def _moved_rows(
        self, x: Floats, y: Floats, chosen: NDArray[np.int64], transport: Transport
    ) -> tuple[MovedRow, ...]:
        plan = transport.plan
        origins, places, mass = (each.numpy() for each in (plan.rows, plan.cols, plan.mass))
        ways = np.abs(y[places] - x[origins])
        lengths = np.bincount(places, mass * np.linalg.norm(ways, axis=1), minlength=len(y)) * len(y)
        embedding, found = self._pairing.embedding, []
        for row in np.argsort(-lengths, kind="stable")[:ROWS_SHOWN]:
            column = ""
            if embedding is not None:
                squares = (mass[places == row, None] * ways[places == row] ** 2).sum(axis=0)
                column = embedding.columns[embedding.owner()[int(squares.argmax())]].name
            found.append(MovedRow(int(chosen[row]), float(lengths[row]), column))
        return tuple(each for each in found if each.distance > 0)

    def _notes(self, pair: Pair, x: Floats, y: Floats) -> tuple[str, ...]:
        notes = []
        if (len(x), len(y)) != pair.counts:
            notes.append(
                f"The joint distance rests on {len(x)} rows of the reference and {len(y)} of the batch, drawn by seed."
            )
        if min(pair.counts) > MOST_TESTED:
            notes.append(f"The columns' p-values rest on {MOST_TESTED} rows of each side, their distances on all.")
        if pair.counts[0] < pair.counts[1]:
            notes.append(
                f"The reference has fewer rows than the batch ({pair.counts[0]} and {pair.counts[1]}): "
                "the distance by chance is mostly the reference's."
            )
        if 1 / (1 + self.permutations) > self.alpha:
            notes.append(f"No p-value of {self.permutations} permutations can reach alpha: give more permutations.")
        return tuple(notes)

    def state_dict(self) -> dict[str, Any]:
        """What goes on from batch to batch: evidence, pool and the points of the reference."""
        embedding = self._pairing.embedding
        return {
            "batches": self.batches,
            "seed": self.seed,
            "reference_rows": self._pairing.count,
            "points": self._points,
            "pool": self._pool,
            "embedding": None if embedding is None else embedding.state_dict(),
            "evidence": self._evidence.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state of a monitor of the same reference.

        Raises:
            UserError: the state is of another reference, seed or alpha.
        """
        hint = _ANOTHER_STATE
        own = self._pairing.embedding
        saved = None if state["embedding"] is None else Embedding.from_state(state["embedding"])
        if state["reference_rows"] != self._pairing.count or saved != own:
            rows = f"{state['reference_rows']} rows then, {self._pairing.count} now"
            found = "other columns, scales or levels" if state["reference_rows"] == self._pairing.count else rows
            raise UserError("The state is of another reference", found=found, hint=hint)
        if state["seed"] != self.seed:
            raise UserError("The state is of another seed", found=f"{state['seed']}, now {self.seed}", hint=hint)
        width = None if own is None else len(own.owner())
        if not all(_are_points(state[name], width) for name in ("points", "pool")):
            raise UserError("The state is damaged", found="points that no monitor writes", hint="start a new state")
        if type(state["batches"]) is not int or not 0 <= state["batches"] < MOST_BATCHES:
            found = f"{shortened(repr(state['batches']), 80)} batches"
            raise UserError("The state is damaged", found=found, hint="start a new state")
        self._evidence.load_state_dict(state["evidence"])
        self.batches, self._points, self._pool = state["batches"], state["points"], state["pool"]


def _are_points(values: Any, width: int | None) -> bool:
    """Whether these are rows of finite numbers, of a width if one is known, or None before the first batch."""
    if values is None:
        return True
    rows = isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype == np.float64 and len(values) > 0
    return bool(rows and width in (None, values.shape[1]) and np.isfinite(values).all())


def _check_alpha(alpha: Any) -> float:
    value = check_number(alpha, name="alpha")
    if not 0 < value < 1:
        raise UserError("alpha must lie between 0 and 1", found=shown(alpha))
    return value
