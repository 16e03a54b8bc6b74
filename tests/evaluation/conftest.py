import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture
def torchmetrics_image(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of torchmetrics.image, imported without torchvision, which torch-fidelity wants for its data sets."""
    fidelity = importlib.util.find_spec("torch_fidelity")
    if fidelity is not None:
        door = ModuleType("torch_fidelity")
        door.__path__ = list(fidelity.submodule_search_locations or ())
        monkeypatch.setitem(sys.modules, "torch_fidelity", door)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not ours to mend
        pytest.importorskip("torchmetrics")
        modules = {name: importlib.import_module(f"torchmetrics.image.{name}") for name in ("fid", "kid")}
    return modules.__getitem__
