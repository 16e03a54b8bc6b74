"""Data sources: from a path, an array or the bundled digits to samples in model space."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wassergan.data.arrays import array_source, load_array
from wassergan.data.codec import Codec
from wassergan.data.idx import is_idx, read_idx
from wassergan.data.source import Source
from wassergan.errors import UserError

__all__ = ["Codec", "Source", "open_source"]


def open_source(
    data: str | Path | NDArray[Any] | Tensor,
    *,
    size: tuple[int, int] | None = None,
    colour: str = "auto",
    skip_unreadable: bool = False,
    key: str | None = None,
    layout: str = "auto",
    scale: str = "auto",
    heldout: float | None = None,
    seed: int = 0,
    report: Callable[[str], None] = lambda message: None,
) -> Source:
    """Open data for training or measuring.

    Args:
        data: `digits`, a folder of pictures, a `.npy`, `.npz` or IDX file, or an array or tensor of samples.
        size: (height, width), for folders of pictures.
        colour: `auto`, `grey` or `rgb`, for folders of pictures.
        skip_unreadable: go on without pictures that cannot be read.
        key: which array of a `.npz`.
        layout: `auto`, `N`, `ND`, `NHW`, `NHWC` or `NCHW`, for arrays.
        scale: `auto`, `feature` or `array`: how floats are standardised.
        heldout: share of the samples held out; a tenth unless given (a fifth of the digits).
        seed: chooses the held-out samples.
        report: told, in a sentence, what was decided on the way.

    Raises:
        UserError: the data cannot be read or used; the message says how to mend them.
    """
    split: dict[str, Any] = {"seed": seed} if heldout is None else {"seed": seed, "heldout": heldout}
    if isinstance(data, Tensor):
        data = data.detach().cpu().numpy()
    if isinstance(data, np.ndarray):
        return array_source(data, layout=layout, scale=scale, **split)
    if str(data) == "digits":
        from wassergan.data.digits import digits_source  # scikit-learn takes a second to import

        return digits_source(**split)
    path = Path(data)
    if path.is_dir():
        from wassergan.data.images import image_folder_source

        return image_folder_source(
            path, size=size, colour=colour, skip_unreadable=skip_unreadable, report=report, **split
        )
    if not path.exists():
        raise UserError(f"There is no {path}", mend="give 'digits', a folder of pictures, or a .npy, .npz or IDX file")
    if path.suffix in (".npy", ".npz"):
        name, array = load_array(path, key=key)
    elif is_idx(path):
        name, array = path.name, read_idx(path)
    else:
        raise UserError(
            f"The kind of {path} is not known",
            found=f"suffix '{path.suffix}'",
            mend="give 'digits', a folder of pictures, or a .npy, .npz or IDX file",
        )
    if ":" in name:
        report(f"Using the array {name.split(':')[1]} of {path.name}, shape {array.shape}.")
    return array_source(array, name=name, layout=layout, scale=scale, **split)
