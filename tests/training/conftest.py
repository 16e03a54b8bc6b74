from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from wassergan.data import Source


@pytest.fixture
def float64() -> Iterator[None]:
    """Networks are made in float64 while a test runs."""
    former = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(former)


class DoubleSource(Source):
    """Samples in float64, and a list of the training positions that were read."""

    positions: list[int]

    def train(self, positions: Tensor) -> Tensor:
        self.positions.extend(positions.tolist())
        return super().train(positions).double()

    def heldout(self, positions: Tensor) -> Tensor:
        return super().heldout(positions).double()


@pytest.fixture
def double_source(make_source: Callable[..., Source]) -> Callable[[], DoubleSource]:
    """The tiny source of pictures in float64."""

    def make() -> DoubleSource:
        source = make_source()
        double = DoubleSource(source.name, source.kind, source.shape, source.reader, source.codec, source.split)
        object.__setattr__(double, "positions", [])
        return double

    return make
