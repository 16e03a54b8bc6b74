"""The processes that train one run together, and all that they say to each other."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar
from zlib import crc32

import torch
import torch.distributed as dist
from torch import Tensor, nn

from wassergan.errors import ElsewhereError, UserError, WorkError, parameter
from wassergan.training.meeting import meet, part, telling_who_is_lost
from wassergan.utils.shard import BatchShard

T = TypeVar("T")


class DistributedContext:
    """The processes of a run; this base is one process alone, for which there is nothing to do.

    Every method is called by all processes, in the same order.

    Args:
        rank: number of this process; 0 writes files, prints and draws.
        count: how many there are, on all machines.
        local_rank: number of this process on its machine, and of its GPU.
        local_count: how many there are on this machine.
        launch: tells one call of torchrun from another, the same after a restart; empty without torchrun.
    """

    def __init__(
        self,
        *,
        rank: int = 0,
        count: int = 1,
        local_rank: int = 0,
        local_count: int = 1,
        launch: str = "",
    ) -> None:
        self.rank, self.count = rank, count
        self.local_rank, self.local_count = local_rank, local_count
        self.launch = launch

    def __deepcopy__(self, memo: dict[int, Any]) -> "DistributedContext":
        return self  # whoever copies a network does not start processes

    @property
    def shard(self) -> BatchShard:
        """Which rows of every batch are this process's."""
        return BatchShard(self.rank, self.count)

    def require_shares(self, batch_size: int) -> None:
        """Refuse a batch that the processes cannot share alike.

        Raises:
            UserError: the number of processes does not divide the batch.
        """
        if batch_size % self.count:
            raise UserError(
                f"A batch of {batch_size} cannot be shared alike by {self.count} processes",
                hint=f"give a {parameter('batch_size')} that {self.count} divides: it is that of all "
                "processes together",
            )

    def average(self, values: Tensor) -> Tensor:
        """The mean over processes, element by element; no gradient passes."""
        return values

    def gather(self, values: Tensor) -> list[Tensor]:
        """On process 0 what each process gives, of any shape, on the CPU; nothing on the others."""
        return [values]

    def average_gradients(self, network: nn.Module) -> None:
        """Replace each gradient by its mean over processes: that of the whole batch's loss, penalty included."""

    def broadcast(self, *networks: nn.Module) -> None:
        """Give every process the parameters and buffers of process 0."""

    def convert_sync_batchnorm(self, network: nn.Module) -> None:
        """Make batch normalisation take its statistics from the whole batch, in place.

        Raises:
            UserError: a kind of batch normalisation of which that is not known how to do.
        """

    def any_of(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is raised on any process."""
        return flags

    def require_equal(self, step: int, *networks: nn.Module) -> None:
        """Require the same step and bitwise the same parameters and buffers on all processes.

        Raises:
            WorkError: they differ; names the processes that differ from process 0.
        """

    @contextmanager
    def raise_together(self) -> Iterator[None]:
        """Leave the block when all processes do, and with an error if any of them has one.

        Raises:
            ElsewhereError: another process failed in the block; that process raises its own error.
        """
        yield

    def on_rank_zero(self, work: Callable[[], T]) -> T:
        """What `work` gives on process 0; the others do nothing but receive it.

        Raises:
            ElsewhereError: `work` failed; process 0 raises its own error.
        """
        return work()


SINGLE_PROCESS = DistributedContext()


class ProcessGroup(DistributedContext):
    """Several processes joined by torch.distributed: Gloo for what lies on the CPU, NCCL for what lies on GPUs."""

    _agreed: Exception | None = None

    def average(self, values: Tensor) -> Tensor:
        """One all-reduce; the same bits on all processes."""
        total = values.clone(memory_format=torch.contiguous_format)
        with telling_who_is_lost():
            dist.all_reduce(total)
        return total.div_(self.count)

    def gather(self, values: Tensor) -> list[Tensor]:
        """One gathering of pickled tensors, between processes that trust each other."""
        found: list[Any] | None = [None] * self.count if self.rank == 0 else None
        with telling_who_is_lost():
            dist.gather_object(values, found, 0)
        return found or []

    def average_gradients(self, network: nn.Module) -> None:
        """One all-reduce of all gradients in a flat buffer."""
        gradients = [each.grad for each in network.parameters() if each.grad is not None]
        flat = self.average(torch.cat([each.flatten() for each in gradients]))
        pieces = flat.split([each.numel() for each in gradients])
        torch._foreach_copy_(gradients, [piece.view_as(each) for piece, each in zip(pieces, gradients, strict=True)])

    @torch.no_grad()
    def broadcast(self, *networks: nn.Module) -> None:
        """One broadcast per tensor: at the start, and of the average at ticks."""
        for tensor in _tensors(*networks):
            sent = tensor.clone(memory_format=torch.contiguous_format)
            with telling_who_is_lost():
                dist.broadcast(sent, 0)
            tensor.copy_(sent)

    def convert_sync_batchnorm(self, network: nn.Module) -> None:
        """Turn `BatchNorm1d`, `2d` and `3d` into `SyncBatchNorm`; names and values in the state stay."""
        for name, module in network.named_modules():
            if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
                module.__class__ = SyncBatchNorm
                module.processes = self
            elif isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(
                module, nn.SyncBatchNorm | SyncBatchNorm
            ):
                raise UserError(
                    f"{type(module).__name__} (layer '{name}') would normalise over each process's part of a batch",
                    hint="use BatchNorm1d, 2d or 3d themselves, layer normalisation, or one process",
                )

    def any_of(self, *flags: bool) -> tuple[bool, ...]:
        """One small all-reduce between the hosts: no GPU is waited for."""
        raised = torch.tensor(flags, dtype=torch.int32)
        with telling_who_is_lost():
            dist.all_reduce(raised, dist.ReduceOp.MAX)
        return tuple(bool(each) for each in raised.tolist())

    def require_equal(self, step: int, *networks: nn.Module) -> None:
        """Compare checksums."""
        checksum = torch.tensor([step, _checksum(*networks)])
        checksums = [torch.empty_like(checksum) for _ in range(self.count)]
        with telling_who_is_lost():
            dist.all_gather(checksums, checksum)
        different = [str(rank) for rank, other in enumerate(checksums) if not torch.equal(other, checksums[0])]
        with self.raise_together():
            if different:
                raise WorkError(
                    f"The processes no longer hold the same weights at step {step}",
                    found=f"{', '.join(different)} of processes 0 to {self.count - 1} differ from process 0",
                    hint="go on from the last checkpoint; if it happens again, look for a machine that differs from "
                    "the others, or for a network that draws its own random weights",
                )

    @contextmanager
    def raise_together(self) -> Iterator[None]:
        """One small all-reduce at the end: the lowest rank that failed."""
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            if isinstance(error, ElsewhereError) or error is self._agreed:
                raise  # out of a block within this one, at whose end all processes learnt of it
            failure = error
        lowest = torch.tensor(self.count if failure is None else self.rank)
        with telling_who_is_lost():
            dist.all_reduce(lowest, dist.ReduceOp.MIN)
        if failure is not None and lowest == self.rank:
            self._agreed = failure
            raise failure
        if lowest < self.count:
            raise ElsewhereError(f"Process {int(lowest)} stopped") from failure

    def on_rank_zero(self, work: Callable[[], T]) -> T:
        """One broadcast of a pickled object, between processes that trust each other."""
        values: list[Any] = [None]
        with self.raise_together():
            if self.rank == 0:
                values = [work()]
        with telling_who_is_lost():
            dist.broadcast_object_list(values, 0)
        result: T = values[0]
        return result


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the whole batch, of which each process holds a part, on any device.

    What one process would compute; its gradient too, where each process's loss is the mean over its own rows and
    gradients are averaged afterwards. Two small all-reduces forward and two backward. Only made by
    `DistributedContext.convert_sync_batchnorm`.
    """

    processes: DistributedContext

    def _check_input_dim(self, values: Tensor) -> None:
        pass

    def forward(self, values: Tensor) -> Tensor:
        """(n, C, ...) to the same shape and type; statistics in at least float32."""
        if not self.training:
            normalised: Tensor = super().forward(values)
            return normalised
        axes, broadcast = [0, *range(2, values.dim())], (1, -1) + (1,) * (values.dim() - 2)
        full = values if values.dtype == torch.float64 else values.float()
        mean = _mean(full.mean(axes), self.processes)
        centred = full - mean.view(broadcast)
        variance = _mean(centred.square().mean(axes), self.processes)
        self._follow(mean.detach(), variance.detach(), self.processes.count * values.numel() // values.shape[1])
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            return torch.addcmul(self.bias.view(broadcast), centred, (scale * self.weight).view(broadcast)).to(
                values.dtype
            )
        return (centred * scale.view(broadcast)).to(values.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics as torch does: the unbiased variance, by the momentum."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), momentum)


class _Mean(torch.autograd.Function):
    """The mean over processes, differentiable: the loss is the sum of all processes' losses."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: DistributedContext) -> Tensor:
        ctx.processes = processes
        return processes.average(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.average(gradient), None


def _mean(values: Tensor, processes: DistributedContext) -> Tensor:
    mean: Tensor = _Mean.apply(values, processes)  # type: ignore[no-untyped-call]
    return mean


def launched() -> bool:
    """Whether torchrun, or anything that sets the same variables, started this process."""
    return {"RANK", "WORLD_SIZE"} <= os.environ.keys()


@contextmanager
def open_processes(
    *, init_method: str = "env://", log: Callable[[str], None] = lambda sentence: None
) -> Iterator[DistributedContext]:
    """Join the processes that torchrun started, or be alone; leave them at the end.

    Args:
        init_method: where they meet, as torch.distributed has it; torchrun's own place unless given.
        log: receives, once, for whom this process waits, where it takes long.

    Raises:
        UserError: the environment holds no rank among processes, or no place where they meet.
        WorkError: the others do not come.
    """
    if not launched():
        yield SINGLE_PROCESS
        return
    rank, count = _environment_number("RANK", 0), _environment_number("WORLD_SIZE", 1)
    if rank >= count:
        raise UserError(f"RANK is {rank} where WORLD_SIZE is {count}", hint="ranks count from 0; start with torchrun")
    kind = ProcessGroup if count > 1 else DistributedContext
    processes = kind(
        rank=rank,
        count=count,
        local_rank=_environment_number("LOCAL_RANK", rank),
        local_count=_environment_number("LOCAL_WORLD_SIZE", count),
        launch=_launch(),
    )
    if count == 1:
        yield processes
        return
    # torchrun may keep the store over a restart: without a place of its own, a process could meet there the address of
    # one that is dead, and wait. Only on one machine is the number of restarts the same for all.
    restarts = _environment_number("TORCHELASTIC_RESTART_COUNT", 0)
    attempt = f"{restarts}" if processes.local_count == count else ""
    meet(rank, count, init_method=init_method, attempt=attempt, log=log)
    yield processes
    # After an error the others may never come: then the end of the process closes what is open.
    part()


def _environment_number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UserError(
            f"The environment says {name}",
            found=f"'{text[:80]}'",
            hint="start with torchrun, or unset RANK and WORLD_SIZE",
        )
    return int(text)


def _launch() -> str:
    """The name of this call of torchrun, or, where nobody gave it one, the torchrun that this process is a child of."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return f"{socket.gethostname()} {os.getppid()}" if name == "none" else name


def _tensors(*networks: nn.Module) -> Iterator[Tensor]:
    for network in networks:
        yield from chain(network.parameters(), network.buffers())


def _checksum(*networks: nn.Module) -> int:
    checksum = 0
    for tensor in _tensors(*networks):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        checksum = crc32(flat.view(torch.uint8).numpy().data, checksum)
    return checksum
