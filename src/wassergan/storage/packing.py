"""Large float32 tensors in fewer bytes, without loss: exponents repeat, and moments begin as zeros."""

import math
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wassergan.storage.archive import DamagedError, is_dense

SMALLEST = 4096  # numbers of a tensor that is packed
MOST_TIMES = 8  # the bytes of what a file is unpacked to, over those of the file
_TAG = "float32 in four planes"
_KEYS = {_TAG, "shape", "strides"}
_TRIED = 4096  # bytes of a plane from whose middle it is told whether deflating pays
_PAYS = 0.9


def packed(content: Any) -> Any:
    """Content for `torch.save` in which large float32 tensors lie as planes of bytes, deflated where that pays.

    Numbers lie in the order of their memory. The sign goes behind the exponent, so that the first plane holds the
    exponents alone.

    Args:
        content: plain types and dense tensors that share no memory.
    """
    found = _packed(content)
    return found if _bytes_of(content) <= MOST_TIMES * _bytes_of(found) else content


def unpacked(content: Any, *, file_bytes: int) -> Any:
    """The inverse; what comes from a file is untrusted: no more is allocated than `MOST_TIMES` the file.

    Raises:
        DamagedError: planes that do not hold what their shape says, or more than such a file can hold.
    """
    return _Unpacking(MOST_TIMES * file_bytes).of(content)


def _packed(content: Any) -> Any:
    if isinstance(content, Tensor):
        suits = type(content) is Tensor and content.dtype == torch.float32 and content.numel() >= SMALLEST
        return _planes(content) if suits and content.layout == torch.strided else content
    if isinstance(content, Mapping):
        return {name: _packed(each) for name, each in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(_packed(each) for each in content)
    return content


def _planes(tensor: Tensor) -> dict[str, Any]:
    numbers = tensor.detach().as_strided((tensor.numel(),), (1,)).cpu().numpy().view(np.uint32)
    turned = (numbers << 1) | (numbers >> 31)
    planes = [_deflated(((turned >> shift) & 0xFF).astype(np.uint8)) for shift in (24, 16, 8, 0)]
    return {_TAG: planes, "shape": list(tensor.shape), "strides": list(tensor.stride())}


def _deflated(plane: NDArray[np.uint8]) -> Tensor:
    """The plane, or a shorter tensor that inflates to it."""
    tried = plane[(len(plane) - _TRIED) // 2 :][:_TRIED].tobytes()
    if len(zlib.compress(tried, 1)) < _PAYS * len(tried):
        short = zlib.compress(plane.tobytes(), 1)
        if len(short) < len(plane):
            return torch.frombuffer(bytearray(short), dtype=torch.uint8)
    return torch.from_numpy(plane)


def _bytes_of(content: Any) -> int:
    if isinstance(content, Tensor):
        return content.numel() * content.itemsize
    inner: Iterable[Any] = ()
    if isinstance(content, Mapping):
        inner = content.values()
    elif isinstance(content, list | tuple):
        inner = content
    return sum(map(_bytes_of, inner))


class _Unpacking:
    """Tensors of planes, within the bytes that are left."""

    def __init__(self, left: int) -> None:
        self._left = left

    def of(self, held: Any) -> Any:
        if isinstance(held, dict):
            if held.keys() == _KEYS:
                return self._tensor(held[_TAG], held["shape"], held["strides"])
            return {name: self.of(each) for name, each in held.items()}
        if isinstance(held, list | tuple):
            return type(held)(self.of(each) for each in held)
        return held

    def _tensor(self, planes: Any, shape: Any, strides: Any) -> Tensor:
        for sides in (shape, strides):
            if not isinstance(sides, list) or any(type(each) is not int or each < 0 for each in sides):
                raise DamagedError("planes of no shape")
        count = math.prod(shape)
        self._left -= 4 * count
        if self._left < 0 or len(shape) != len(strides) or not is_dense(shape, strides):
            raise DamagedError(f"planes of shape {tuple(shape)} and strides {tuple(strides)}"[:200])
        if not isinstance(planes, list) or len(planes) != 4:
            raise DamagedError("no four planes")
        turned = np.zeros(count, np.uint32)
        for plane in planes:
            turned = (turned << 8) | _inflated(plane, count)
        numbers = (turned >> 1) | (turned << 31)
        return torch.from_numpy(numbers.view(np.float32)).as_strided(tuple(shape), tuple(strides))


def _inflated(plane: Any, count: int) -> NDArray[np.uint8]:
    if not isinstance(plane, Tensor) or plane.dtype != torch.uint8 or plane.dim() != 1:
        raise DamagedError("a plane that holds no bytes")
    if len(plane) == count:
        return plane.numpy()
    inflating = zlib.decompressobj()
    content = inflating.decompress(plane.numpy().tobytes(), max(1, count))
    if len(content) != count or not inflating.eof or inflating.unused_data:
        raise DamagedError(f"a plane of {len(content)} bytes for {count} numbers")
    return np.frombuffer(content, np.uint8)
