"""One class to fill in: nothing else tells classes of data apart, and a new one passes through every verb."""

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wassergan
from wassergan.config.settings import TrainSettings
from wassergan.config.verbs import EvaluateSettings
from wassergan.data import Codec, TableCodec, open_source
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError
from wassergan.modality import MODALITIES, modality_of, modality_with
from wassergan.modality.vectors import Vectors
from wassergan.modality.writing import write_samples
from wassergan.runs.evaluate import evaluate_run
from wassergan.runs.export import export_run, open_export
from wassergan.runs.train import train_run
from wassergan.runs.visualize import visualize_run
from wassergan.session import build
from wassergan.session.restore import open_sampler

PACKAGE = Path(wassergan.__file__).parent  # where it is imported from, so that a changed copy is looked at
CODECS = {"Codec", "SeriesCodec", "TableCodec", "VolumeCodec"}
MOST_BRANCHES = 5


def branches(tree: ast.AST) -> Iterator[ast.AST]:
    """Where classes of data are told apart: by their names, or by the class of a codec."""
    named = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.List | ast.Set | ast.Dict)
        for target in node.targets
        if isinstance(target, ast.Name) and _names_of_modalities(node.value)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                sides = (left, *others)
                by_class = any(isinstance(side, ast.Name) and side.id in CODECS for side in others)
                by_name = any(_names_of_modalities(side) or _is_name(side, named) for side in sides)
                if by_class or (by_name and not any(map(_is_wish, sides))):
                    yield node
            case ast.match_case(pattern=pattern) if _names_of_modalities(pattern):
                yield node
            case ast.MatchClass(cls=ast.Name(id=name)) if name in CODECS:
                yield node
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]) if _is_codec(kinds):
                yield node


def _names_of_modalities(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Constant) and each.value in MODALITIES for each in ast.walk(node))


def _is_name(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _is_wish(node: ast.AST) -> bool:
    """What the user said about the layout of columns: `--layout table`."""
    return ast.unparse(node) in {"layout", "how.layout", "self.layout", "asked.layout", "settings.layout"}


def _is_codec(node: ast.AST) -> bool:
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return bool(names & CODECS) or ast.unparse(node).endswith(".codec")


def test_classes_of_data_are_told_apart_in_their_own_folder_alone() -> None:
    found = [
        (path.relative_to(PACKAGE).as_posix(), getattr(node, "lineno", 0), ast.unparse(node))
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in branches(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(found) <= MOST_BRANCHES
    assert not [each for each in found if not each[0].startswith("modality/")]


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('x = 1 if sampler.kind == "table" else 2', 1),
        ('if content["kind"] != "image" and isinstance(codec, TableCodec): pass', 2),
        ('ROWS = ("vector", "table")\nif source.kind in ROWS: pass', 1),
        ('match kind:\n    case "field" | "image": pass', 1),
        ("match codec:\n    case TableCodec(): pass", 1),
        ("if type(codec) is Codec: pass", 1),
        ('if kind in {"vector"}: pass', 1),
        ("assert isinstance(codec, Codec | None)", 1),
        ('if layout == "table" or column.kind == "date" or array.dtype.kind == "f": pass', 0),
    ],
)
def test_branches_are_counted(source: str, count: int) -> None:
    assert len({ast.unparse(node) for node in branches(ast.parse(source))}) == count


@pytest.mark.parametrize("name", MODALITIES)
def test_each_class_knows_its_codecs_and_no_others(name: str) -> None:
    modality = modality_of(name)
    numbers = array_source(np.random.default_rng(0).normal(size=(30, 2)).astype("f4")).codec
    table = TableCodec([])
    in_time = array_source(np.random.default_rng(0).normal(size=(30, 5, 2)), layout="NTC").codec
    volumes = array_source(np.random.default_rng(0).normal(size=(30, 4, 4, 4)), layout="NDHW").codec
    own = next(each for each in (numbers, table, in_time, volumes) if type(each) is modality.codec)
    other = numbers if own is table else table
    assert modality.name == name and modality.own(own) is own
    with pytest.raises(UserError, match=f"{name} samples have another codec: {type(other).__name__}"):
        modality.own(other)
    assert modality_with(own).codec is modality.codec and own.conditions_are_columns == (own is table)


def test_an_unknown_class_of_data_is_named() -> None:
    with pytest.raises(UserError, match="Unknown class of data: 'tabel'. Did you mean 'table'"):
        modality_of("tabel")


def test_settings_for_other_classes_are_refused() -> None:
    for name, asked, message in (
        ("vector", {"target": "a"}, 'A column to predict is for tables: target="a"'),
        ("field", {"sheet": "b"}, 'Sheets are for tables: sheet="b"'),
        ("table", {"features": "pixels2"}, "Tables are judged on their own columns"),
        ("table", {"sheet": "b"}, "`sheet` is for a workbook given to `against`"),
    ):
        with pytest.raises(UserError, match=message):
            modality_of(name).require_askable(EvaluateSettings(**asked))  # type: ignore[arg-type]


class Clouds(Vectors):
    """What a new class of data fills in at least: its name."""

    name = "cloud"
    usual_file = "samples.npy"


def test_a_new_class_passes_through_every_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODALITIES, "cloud", Clouds())

    def opened(data: Any, **options: Any) -> Any:
        return replace(open_source(data, **options), kind="cloud")

    monkeypatch.setattr(build, "open_source", opened)
    numbers, run = np.random.default_rng(0), tmp_path / "run"
    np.save(tmp_path / "a.npy", numbers.normal(size=(120, 3)).astype("f4"))
    np.save(tmp_path / "b.npy", numbers.normal(size=(40, 3)).astype("f4"))
    small: dict[str, Any] = {"generator_widths": (8,), "critic_widths": (8,), "batch_size": 16, "tensorboard": False}
    summary = train_run(TrainSettings(data=str(tmp_path / "a.npy"), steps=2, **small), run)
    assert summary["kind"] == "cloud" and list((run / "samples").glob("*.png")) and (run / "report.html").exists()
    sampler = open_sampler(run)
    write_samples(sampler, tmp_path / "made.npy", count=5, seed=0)
    assert np.load(tmp_path / "made.npy").shape == (5, 3)
    result = evaluate_run(EvaluateSettings(run=str(run), count=20, against=str(tmp_path / "b.npy")))
    assert result["protocol"]["heldout"] == 40 and len(result["channels"]) == 3
    assert json.loads((run / "metrics.json").read_text()) == result
    assert [path.name for path in visualize_run(run, tmp_path / "visualize", count=20)] == [
        "marginals.png",
        "pairs.png",
    ]
    export_run(run, tmp_path / "g.safetensors")
    exported = open_export(tmp_path / "g.safetensors")
    assert exported.kind == "cloud" and isinstance(exported.codec, Codec)
    assert np.array_equal(exported.draw(4), sampler.draw(4))
    assert torch.isfinite(torch.from_numpy(exported.draw(4))).all()
