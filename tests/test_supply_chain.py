import importlib.util
import re
import tomllib
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DIRECT = {"torch", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "click", "tqdm", "pot", "jinja2"}
EXTRAS = ("tables", "excel", "netcdf", "hdf5", "zarr", "inception", "tensorboard", "export", "notebook")


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", ROOT / "benchmarks" / "licences.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_there_are_no_dependencies_but_these() -> None:
    named = {re.split(r"[<>=!~\[; ]", each)[0].lower() for each in project()["dependencies"]}
    assert named == DIRECT


def test_every_dependency_says_from_which_version_on() -> None:
    extras = project()["optional-dependencies"]
    every = [*project()["dependencies"], *(each for name in (*EXTRAS, "dev") for each in extras[name])]
    assert [each for each in every if ">=" not in each and not each.startswith("wassergan[")] == []


def test_every_licence_in_the_tree_of_dependencies_is_permissive(licences: ModuleType) -> None:
    found = licences.closure("wassergan", EXTRAS)
    assert not DIRECT - {name.lower() for name in found}
    assert licences.refused(found) == {}


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("License-Expression: MIT", False),
        ("License-Expression: BSD-3-Clause AND 0BSD", False),
        ("Classifier: License :: OSI Approved :: Apache Software License", False),
        ("License: MIT License", False),
        ("License-Expression: GPL-3.0-only", True),
        ("License-Expression: MIT AND LGPL-2.1-or-later", True),
        ("License: BUSL-1.1", True),
        ("Classifier: License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("License: Limited use, ask us", True),
        ("Summary: says nothing", True),
    ],
)
def test_the_check_tells_licences_apart(licences: ModuleType, tmp_path: Path, said: str, refused: bool) -> None:
    folder = tmp_path / "a-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: a\nVersion: 1\n{said}\n")
    assert bool(licences.refused({"a": Distribution.at(folder)})) == refused


def test_what_builds_of_pytorch_for_gpus_bring_is_not_judged(licences: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "a-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: a\nVersion: 1\nLicense: NVIDIA Proprietary\n")
    names = ("nvidia-cublas", "cuda-toolkit", "nvidia", "my-nvidia-tools")
    assert list(licences.refused(dict.fromkeys(names, Distribution.at(folder)))) == ["nvidia", "my-nvidia-tools"]


def test_no_asset_of_the_page_names_a_host() -> None:
    for path in (ROOT / "src" / "wassergan" / "report").glob("page.*"):
        if path.suffix != ".py":
            hosts = set(re.findall(r"https?://[\w.]+", path.read_text(encoding="utf-8")))
            assert hosts <= {"http://www.w3.org"}, path  # a name, not a place: SVG's
