"""Turns that are recorded once and then replayed on new numbers: CUDA graphs, and what they need of a trainer.

A small step is hundreds of kernels of a few microseconds each, and a GPU waits for Python between them. A graph
holds them all, the penalty's double backward included, and is started at once. What changes from turn to turn lies in
tensors of fixed place: samples, conditions and latents, the penalty's mixing weights, both rates, and the share of the
live weights in the average. All random numbers are drawn outside, from the trainer's own streams in their usual order:
with and without graphs a run draws the same numbers, and it may be saved and resumed at any turn, either way.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from wassergan.constraints import CONSTRAINTS, Constraint
from wassergan.training.distributed import DistributedContext
from wassergan.training.optimizers import FusedAdam
from wassergan.training.statistics import Statistics
from wassergan.training.turn import Due, Iteration
from wassergan.utils.rng import ReplayedGenerator

WARM_UPS = 3  # turns before recording: libraries choose kernels and allocate workspaces in them
MOST_RECORDS = 8  # of one trainer: a penalty on every k-th critic step makes up to k different turns


class Phase(Protocol):
    """Takes all steps of a turn."""

    def __call__(self, turn: Iteration, due: Due, average_weight: float | Tensor, rng: torch.Generator) -> None:
        """Critic steps, the generator's step, the average.

        Args:
            turn: what the steps are given.
            due: for each critic step, whether the penalty acts.
            average_weight: share of the live weights in the next average.
            rng: the penalty's random numbers.
        """


class GraphRecorder(Protocol):
    """Runs work that reads and writes tensors of fixed places, and can repeat it."""

    def warm_up(self, work: Callable[[], None]) -> None:
        """Run it once, as it will be run when it is recorded."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Run it once, and return what runs it again.

        Raises:
            RuntimeError: it cannot be recorded; nothing was run.
        """


class CudaRecorder:
    """Records a CUDA graph.

    Args:
        device: of all tensors that the work touches.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def warm_up(self, work: Callable[[], None]) -> None:
        """On the stream that records: autograd's nodes remember where they were made."""
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture, which runs nothing, then replay."""
        graph = torch.cuda.CUDAGraph()
        # A thread that reads data may go on with its own calls meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            work()
        graph.replay()
        return graph.replay


class GraphedIteration:
    """Takes a trainer's turns: some as they are, then by replaying what was recorded of them.

    Args:
        phase: takes a turn's steps.
        recorder: of the device.
        rng: the penalty's.
        optimizers: of both networks; their rates are read from the device.
        statistics: that the steps add to.
        log: receives, in a sentence, why nothing can be recorded; the turns are then taken as they are. May raise.
    """

    def __init__(
        self,
        phase: Phase,
        recorder: GraphRecorder,
        *,
        rng: torch.Generator,
        optimizers: Sequence[FusedAdam],
        statistics: Statistics,
        log: Callable[[str], None],
    ) -> None:
        self._phase, self._rng, self._statistics, self._log = phase, rng, statistics, log
        self._recorder: GraphRecorder | None = recorder
        self._optimizers = optimizers
        self._records: dict[tuple[Due, tuple[torch.Size, ...]], _Record] = {}
        for optimizer in optimizers:
            optimizer.keep_lr_on_device()
        self._average_weight = torch.zeros((), device=rng.device)

    def run(self, turn: Iteration, due: Due, average_weight: float) -> None:
        """Take a turn; arguments as of `Phase`."""
        if self._recorder is None:
            self._phase(turn, due, average_weight, self._rng)
            return
        for optimizer in self._optimizers:
            optimizer.send_lr()
        key = (due, tuple(tensor.shape for tensor in turn.tensors))
        if key not in self._records and len(self._records) == MOST_RECORDS:
            self._phase(turn, due, average_weight, self._rng)
            return
        if key not in self._records:
            self._records[key] = _Record(turn.copied(), due, ReplayedGenerator(self._rng))
        record = self._records[key]
        for slot, tensor in zip(record.turn.tensors, turn.tensors, strict=True):
            slot.copy_(tensor, non_blocking=True)
        record.drawn.draw()
        self._average_weight.fill_(average_weight)
        if record.replay is not None:
            record.replay()
            self._statistics.count(record.counts)
        elif record.warm_ups < WARM_UPS:
            self._recorder.warm_up(partial(self._take, record))
            record.warm_ups += 1
        else:
            self._record(record)

    def forget(self) -> None:
        """Record anew: tensors have moved, as those of optimisers do when a state is loaded."""
        self._records.clear()

    def _take(self, record: "_Record") -> None:
        record.drawn.rewind()
        self._phase(record.turn, record.due, self._average_weight, record.drawn)

    def _record(self, record: "_Record") -> None:
        assert self._recorder is not None
        before = self._statistics.counts
        try:
            record.replay = self._recorder.record(partial(self._take, record))
        except RuntimeError as error:
            self._statistics.recount(before)
            self._recorder = None
            self._log(f"CUDA graphs are off: the steps cannot be recorded ({str(error).splitlines()[0][:200]})")
            self._take(record)  # its numbers are drawn already
            self._records.clear()
            for optimizer in self._optimizers:
                optimizer.keep_lr_on_host()
        else:
            now = self._statistics.counts
            record.counts = {name: count - before.get(name, 0) for name, count in now.items()}


class _Record:
    """A turn's places, and what replays it once that is known.

    Args:
        turn: in the places that the recorded steps read.
        due: see `Phase`.
        drawn: the penalty's numbers, in places of their own.
    """

    def __init__(self, turn: Iteration, due: Due, drawn: ReplayedGenerator) -> None:
        self.turn, self.due, self.drawn = turn, due, drawn
        self.warm_ups = 0
        self.replay: Callable[[], None] | None = None
        self.counts: dict[str, int] = {}


def why_not_recorded(
    generator: nn.Module, critic: nn.Module, constraint: Constraint, processes: DistributedContext
) -> str | None:
    """Why the steps of some networks are not to be recorded, in a few words; None if nothing speaks against it."""
    if processes.count > 1:
        return "several processes train together"
    if type(constraint) not in CONSTRAINTS.values():
        return f"{type(constraint).__name__} may draw random numbers of its own"
    for module in (*generator.modules(), *critic.modules()):
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            return f"{type(module).__name__} draws random numbers of its own"
    return None
