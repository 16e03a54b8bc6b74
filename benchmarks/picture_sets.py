"""The data sets of `pictures.py`: what is trained on, what the judge's classifier learns, and what is held against."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.datasets
import torch
from PIL import Image
from torch import Tensor

from wassergan.data.readers.idx import read_idx

JUDGED = 4000
CROPS, CROPPED, SIDE = 300, 128, 32  # how many, of how many pixels of a photograph, and reduced to how many
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


@dataclass(frozen=True)
class Pictures:
    """A data set.

    Attributes:
        data: what `train` is given.
        condition: the flags that make the labels a condition.
        learnt: pictures in [-1, 1] and labels, for the judge's classifier.
        judging: real pictures in [-1, 1].
        apart: the number of the first of `learnt` that `tested` does not hold.
        tested: pictures and labels on which a classifier of samples is tested.
        largest: the value that stands for 1.
    """

    data: str
    condition: str
    learnt: tuple[Tensor, Tensor]
    judging: Tensor
    apart: int
    tested: tuple[Tensor, Tensor]
    largest: float = 255.0


def fashion(folder: Path, cache: Path) -> Pictures:
    """60000 of Fashion-MNIST for the classifier, 4000 of the test pictures to judge by."""
    home = folder / "fashion_mnist"
    pictures, labels = {}, {}
    for part in ("train", "t10k"):
        pictures[part] = (
            torch.from_numpy(np.array(read_idx(home / f"{part}-images-idx3-ubyte.gz")))[:, None] / 127.5 - 1
        )
        labels[part] = torch.from_numpy(np.array(read_idx(home / f"{part}-labels-idx1-ubyte.gz"))).long()
    rows = torch.randperm(len(pictures["t10k"]), generator=torch.Generator().manual_seed(0))[:JUDGED]
    return Pictures(
        str(home / "train-images-idx3-ubyte.gz"),
        f"--labels {home / 'train-labels-idx1-ubyte.gz'}",
        (pictures["train"], labels["train"]),
        pictures["t10k"][rows],
        len(pictures["train"]),
        (pictures["t10k"], labels["t10k"]),
    )


def cifar(folder: Path, cache: Path) -> Pictures:
    """4000 pictures in colours, of which the classifier learns 3500."""
    path = folder / "cifar10_first4000" / "cifar10_first4000.npz"
    with np.load(path) as file:
        pictures = torch.from_numpy(file["images"]).permute(0, 3, 1, 2) / 127.5 - 1
        labels = torch.from_numpy(file["labels"]).long()
    learnt, tested = ((pictures[rows], labels[rows]) for rows in (slice(3500), slice(3500, None)))
    return Pictures(str(path), "--condition labels", learnt, pictures, 3500, tested)


def digits(folder: Path, cache: Path) -> Pictures:
    """The digits of scikit-learn, 8 x 8."""
    found = sklearn.datasets.load_digits()
    pictures, labels = torch.from_numpy(found.images)[:, None].float() / 8 - 1, torch.from_numpy(found.target).long()
    tested = (pictures[1437:], labels[1437:])
    return Pictures("digits", "--condition label", (pictures, labels), pictures, 1437, tested, largest=16.0)


def crops(folder: Path, cache: Path) -> Pictures:
    """300 squares of the photographs that come with scikit-learn and scikit-image; the photograph is the label."""
    photographs = [*sklearn.datasets.load_sample_images().images, *_photographs_of_scikit_image()]
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(CROPS) % len(photographs))
    squares = []
    for label in labels:
        photograph = photographs[label]
        top, left = (int(rng.integers(side - CROPPED + 1)) for side in photograph.shape[:2])
        square = Image.fromarray(photograph[top : top + CROPPED, left : left + CROPPED])
        squares.append(np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BOX)))
    path = cache / "crops.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.stack(squares))
    pictures = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2) / 127.5 - 1
    known = (pictures, torch.from_numpy(labels).long())
    np.save(cache / "crops-labels.npy", labels)
    return Pictures(str(path), f"--labels {cache / 'crops-labels.npy'}", known, pictures, CROPS, known)


def _photographs_of_scikit_image() -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("The crops are of photographs of scikit-image: pip install scikit-image")
    folder = Path(found.submodule_search_locations[0]) / "data"
    return [np.asarray(Image.open(folder / name).convert("RGB")) for name in PHOTOGRAPHS]


DATA: dict[str, Callable[[Path, Path], Pictures]] = {
    "fashion": fashion,
    "cifar": cifar,
    "digits": digits,
    "crops": crops,
}
