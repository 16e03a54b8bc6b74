"""The formats: each writes a generator and its description into one file."""

import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from wassergan.errors import UserError
from wassergan.storage.files import fill, scratch_folder

KEY = "wassergan"  # the key of the description, in every format
_EXAMPLES = 2  # latents to trace with; the file accepts any number


def folded(generator: nn.Module) -> nn.Module:
    """A copy on the CPU in evaluation mode whose weights are plain: parametrisations are computed once."""
    plain = copy.deepcopy(generator).cpu().eval()
    for module in list(plain.modules()):
        if parametrize.is_parametrized(module):
            parametrizations = module.parametrizations
            assert isinstance(parametrizations, nn.ModuleDict)
            for name in list(parametrizations):
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return plain.requires_grad_(False)


@runtime_checkable
class _InChunks(Protocol):
    """A generator of tables, which computes rows in chunks of a fixed size."""

    def rows(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to rows (n, width) in one chunk, whatever its size."""


class _Rows(nn.Module):
    """A generator that draws rows in one chunk: a graph has no loop over parts of a batch."""

    def __init__(self, generator: _InChunks) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latent: Tensor) -> Tensor:
        """(n, latent_dim) to rows (n, width)."""
        return self.generator.rows(latent)


class _Affine(nn.Module):
    """A batch normalisation in evaluation mode as a scale and a shift: PyTorch 2.6 cannot export more to ONNX."""

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        assert norm.running_mean is not None and norm.running_var is not None
        scale = (norm.running_var + norm.eps).rsqrt()
        self.register_buffer("scale", scale * norm.weight if norm.affine else scale)
        shift = -norm.running_mean * self.scale
        self.register_buffer("shift", shift + norm.bias if norm.affine else shift)

    def forward(self, values: Tensor) -> Tensor:
        """(n, channels, ...) to the same shape."""
        shape = (-1, *[1] * (values.dim() - 2))
        return values * self.scale.view(shape) + self.shift.view(shape)


def _as_graph(generator: nn.Module) -> nn.Module:
    plain = copy.deepcopy(generator)
    for module in list(plain.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(module, name, _Affine(child))
    return _Rows(plain).eval() if isinstance(plain, _InChunks) else plain


def write_safetensors(generator: nn.Module, path: Path, *, latent_dim: int, description: str) -> None:
    """The weights by name; the description in the metadata."""
    from safetensors.torch import save

    weights = {name: value.detach().clone().contiguous() for name, value in generator.state_dict().items()}
    fill(path, save(weights, metadata={"format": "pt", KEY: description}))


def write_pt2(generator: nn.Module, path: Path, *, latent_dim: int, description: str) -> None:
    """PyTorch's exported program; the description is the extra file `wassergan.json`."""
    program = torch.export.export(
        _as_graph(generator), (torch.zeros(_EXAMPLES, latent_dim),), dynamic_shapes=_any_count()
    )
    held = io.BytesIO()  # torch aborts the process if it cannot write to its own file
    torch.export.save(program, held, extra_files={f"{KEY}.json": description})
    fill(path, held.getvalue())


def write_onnx(generator: nn.Module, path: Path, *, latent_dim: int, description: str) -> None:
    """A graph from `latent` to `samples`; the description in the model's metadata."""
    with _quiet_exporter(), scratch_folder():  # torch needs it, but checks for it too late
        program = torch.onnx.export(
            _as_graph(generator),
            (torch.zeros(_EXAMPLES, latent_dim),),
            dynamo=True,
            dynamic_shapes=_any_count(),
            input_names=["latent"],
            output_names=["samples"],
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props[KEY] = description
    fill(path, program.model_proto.SerializeToString())


@dataclass(frozen=True)
class Format:
    """A way to write a generator.

    Args:
        write: into a file.
        packages: those that it needs beyond the library's own.
    """

    write: Callable[..., None]
    packages: tuple[str, ...] = ()

    def require_packages(self) -> None:
        """Refuse if a package is missing.

        Raises:
            UserError: says which, and what to install.
        """
        missing = [name for name in self.packages if find_spec(name) is None]
        if missing:
            raise UserError(
                "A package that this format needs is not installed",
                found=", ".join(missing),
                hint="pip install 'wassergan[export]'",
            )


FORMATS = {
    "safetensors": Format(write_safetensors, ("safetensors",)),
    "onnx": Format(write_onnx, ("onnx", "onnxscript")),
    "pt2": Format(write_pt2),
}


def _any_count() -> tuple[dict[int, torch.export.Dim]]:
    return ({0: torch.export.Dim("count", max=2**31 - 1)},)  # PyTorch 2.6 needs less than the full range of int64


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Suppress warnings about the internals of torch's exporter: deprecated calls, and the absence of torchvision."""
    log = logging.getLogger("torch.onnx._internal.exporter")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        log.setLevel(level)
