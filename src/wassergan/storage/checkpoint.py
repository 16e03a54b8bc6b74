"""Checkpoints: one atomic file with all mutable state, the settings, and the conversion to the user's units."""

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wassergan.errors import UserError, parameter
from wassergan.storage.archive import DamagedError, is_dense, read_archive
from wassergan.storage.arrays import save_tensors
from wassergan.storage.files import kind_of, link_or_copy, make_folder, remove, replacing, require_regular
from wassergan.storage.memory import VARIABLE, largest_bytes
from wassergan.storage.packing import packed, unpacked

FORMAT = "wassergan checkpoint"
VERSION = 2  # 1: all tensors as they are
_NUMBERED = re.compile(r"step-(\d+)\.pt")
MOST_DIGITS = 20  # digits of a step number


def another_checkpoint() -> str:
    """What to do about a damaged one."""
    return f"use another checkpoint of the run ({parameter('checkpoint', 'best')}, or a step number)"


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain types atomically; the previous file stays valid until the new one is on disk.

    Raises:
        WorkError: the file system refuses.
    """
    with replacing(path) as temporary:
        save_tensors(temporary, {"format": FORMAT, "version": VERSION, **packed(_alone(dict(content)))})


def _alone(content: Any) -> Any:
    """The same with tensors that share no storage and have no gaps: saving a view would write its whole base."""
    if isinstance(content, Tensor):
        whole = is_dense(content.shape, content.stride())
        shared = content.untyped_storage().nbytes() > content.numel() * content.itemsize
        return (
            content.clone(memory_format=torch.preserve_format if whole else torch.contiguous_format)
            if shared or not whole
            else content
        )
    if isinstance(content, Mapping):
        return {name: _alone(each) for name, each in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(_alone(each) for each in content)
    return content


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Anything but a complete, undamaged one is refused; code from the file is never run.

    Args:
        path: written by `save_checkpoint`.

    Raises:
        UserError: missing, truncated, damaged, foreign, of a newer version, or larger than a file may be.
    """
    if not require_regular(path).exists():
        raise UserError(f"There is no checkpoint {path}")
    if (size := path.stat().st_size) > largest_bytes():  # of a file with holes, whatever the disk holds of it
        raise UserError(
            f"The checkpoint {path} would fill the memory",
            found=f"{size:,} bytes, allowed are {largest_bytes():,}",
            hint=f"if it is yours, say so: {VARIABLE}={-(-size // 2**20)}",
        )
    try:
        content = unpacked(read_archive(path), file_bytes=path.stat().st_size)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"The file {path} holds Python objects that are never loaded",
            hint="only open checkpoints of wassergan",
        ) from error
    except DamagedError as error:
        raise UserError(f"The checkpoint {path} is damaged", found=str(error), hint=another_checkpoint()) from error
    except Exception as error:  # damaged bytes surface as whatever the parsers raise
        raise UserError(f"The checkpoint {path} is damaged or no checkpoint", hint=another_checkpoint()) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"The file {path} is not a checkpoint of wassergan", hint=another_checkpoint())
    if not isinstance(content.get("version"), int):
        raise UserError(f"The checkpoint {path} is damaged", found="no version", hint=another_checkpoint())
    if content["version"] > VERSION:
        raise UserError(
            f"The checkpoint {path} comes from a newer wassergan",
            found=f"format {content['version']}",
            hint="update",
        )
    return content


class Checkpoints:
    """The checkpoints of a run: the last `keep` numbered ones, with `latest` and `best` as further names."""

    def __init__(self, folder: Path, *, keep: int = 1) -> None:
        self.folder, self.keep = folder, keep

    def save(self, content: Mapping[str, Any], *, step: int, best: bool, drop_later: bool = False) -> None:
        """Write the numbered file, then move (`best` and) `latest` to it, then drop (later and) old numbers.

        A run resumes from `latest`: if that moved first, a kill between the two would leave an old `best` for good.
        """
        make_folder(self.folder)
        numbered = self.numbered(step)
        save_checkpoint(numbered, content)
        for name in ("best", "latest") if best else ("latest",):
            link_or_copy(numbered, self.folder / f"{name}.pt")
        if drop_later:
            self.drop_after(step)
        self.trim()

    def go_on_from(self, which: str, *, step: int, best_step: int, best_is_later: Callable[[], bool]) -> None:
        """Move `latest` (and `best`, if that is of a later step) back, then drop later numbers.

        `latest` first: a process killed in between resumes from there and drops the rest then.

        Args:
            which: the checkpoint from which the run resumes, as for `path`.
            step: its step.
            best_step: the step of the best so far, from its content.
            best_is_later: whether `best` is of a step after it.
        """
        chosen, latest = self.path(which), self.folder / "latest.pt"
        if not latest.exists() or not chosen.samefile(latest):
            link_or_copy(chosen, latest)
        former = self.numbered(best_step)
        if former.exists() and best_is_later():
            link_or_copy(former, self.best)
        self.drop_after(step)

    def best_is_newer(self, which: str, *, best_step: int) -> bool:
        """Whether `best` was written after a checkpoint and the file of the earlier best is gone."""
        chosen, best = self.path(which), self.best
        if not best.exists() or best.samefile(chosen) or self.numbered(best_step).exists():
            return False
        return best.stat().st_mtime_ns > chosen.stat().st_mtime_ns

    @property
    def best(self) -> Path:
        """The file of the best checkpoint, whether it exists or not."""
        return self.folder / "best.pt"

    def numbered(self, step: int) -> Path:
        """The file of a step, whether it exists or not."""
        return self.folder / f"step-{step:09d}.pt"

    def trim(self) -> None:
        """Delete all numbered checkpoints but the last `keep`."""
        for old in self._numbered()[: -self.keep]:
            remove(old)

    def path(self, which: str) -> Path:
        """`latest`, `best` or a step number to a file.

        Raises:
            UserError: there is no such checkpoint; lists the existing ones.
        """
        is_step = which.isascii() and which.isdecimal() and len(which) < MOST_DIGITS
        path = self.folder / (f"step-{int(which):09d}.pt" if is_step else f"{which}.pt")
        if not (is_step or which in ("latest", "best")) or not path.is_file():
            there = [file.stem for file in sorted(self.folder.glob("*.pt")) if not file.name.startswith(".")]
            raise UserError(
                f"There is no checkpoint '{which}'", found=f"in {self.folder}: {', '.join(there) or 'none'}"
            )
        return path

    def drop_after(self, step: int) -> None:
        """Delete numbered checkpoints later than a step, before a run resumes from that step."""
        for path in self._numbered():
            if int(path.stem.removeprefix("step-")) > step:
                remove(path)

    def steps(self) -> list[int]:
        """The steps of the numbered checkpoints, ascending."""
        return [int(path.stem.removeprefix("step-")) for path in self._numbered()]

    def _numbered(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        named = (path for path in self.folder.iterdir() if _NUMBERED.fullmatch(path.name))
        return sorted(path for path in named if kind_of(path) == "a file")
