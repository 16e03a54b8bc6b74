"""Whether the processes of a run were called alike."""

import zlib
from collections.abc import Mapping
from typing import Any

import torch

from wassergan.errors import UserError
from wassergan.training.distributed import DistributedContext

# Where things are, and what they run on, may be another matter for each process.
_OWN = {"run", "data", "out", "against", "labels", "schema", "condition_array", "given_rows", "device", "threads"}


def require_same_call(processes: DistributedContext, verb: str, flags: Mapping[str, Any]) -> None:
    """Refuse to do together what was asked for in different words; all processes call it before any other thing.

    Args:
        processes: those of the run.
        verb: that was called.
        flags: of the call, by name; places and devices are not compared.

    Raises:
        UserError: on process 0, with the first process that differs.
        ElsewhereError: on the others.
    """
    if processes.count == 1:
        return
    said = repr((verb, sorted((name, value) for name, value in flags.items() if name not in _OWN)))
    own = torch.tensor([zlib.crc32(said.encode("utf-8", "backslashreplace"))])
    gathered = processes.gather(own)

    def compare() -> None:
        for rank, other in enumerate(gathered):
            if not torch.equal(other, own):
                raise UserError(
                    f"Process {rank} was called with another verb or other flags than process 0",
                    hint="give all processes the same",
                )

    processes.on_rank_zero(compare)
