"""The arrows of the house: who may import whom, and what the command line and the package import when asked little."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from pkgutil import resolve_name

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "wassergan"

TABLE = re.compile(r"An import may only point down.*?```text\n(.*?)```", re.DOTALL)


def floors() -> tuple[set[str], ...]:
    """From the ground up, as CONTRIBUTING.md has them; an import may only point lower, or stay within one part."""
    table = TABLE.search((PACKAGE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert table is not None
    return tuple(set(row.split()) for row in reversed(table[1].splitlines()))


FLOORS = (*floors(), {"__main__"})
FLOOR_OF = {part: height for height, floor in enumerate(FLOORS) for part in floor}
# The mathematics knows nothing of files, settings, processes or logs.
MATHEMATICS = ("objectives", "constraints", "lipschitz", "networks", "distances")
# What it may know of `utils`: plain values and random streams.
PLAIN_VALUES = {"wassergan.utils.column_layout", "wassergan.utils.rng"}
# Training knows nothing of settings, metrics, plots or the command line.
UNKNOWN_TO_TRAINING = {"settings", "presets", "distances", "evaluation", "plots", "runs", "cli", "sampling"}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Dotted names of everything that a file imports, inside functions too."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """The part of the house that a file belongs to: its package, or its own name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def parts_imported(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports(path) if name.startswith("wassergan.")}
    return {name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()}


MODULES = modules()
FILES = [path for path in MODULES.values() if path != PACKAGE / "__init__.py"]
SCRIPTS = [path for folder in ("benchmarks", "fuzz") for path in sorted((PACKAGE.parents[1] / folder).glob("*.py"))]


def test_every_part_stands_on_one_floor_and_every_floor_has_parts() -> None:
    assert {part_of(path) for path in FILES} == FLOOR_OF.keys()
    assert sum(len(floor) for floor in FLOORS) == len(FLOOR_OF)
    assert all(FLOORS)


def test_the_house_has_few_rooms_floors_and_arrows() -> None:
    """What a stranger meets at the root; an arrow is a part that imports another, in however many files."""
    arrows = {(part_of(path), other) for path in FILES for other in parts_imported(path) - {part_of(path)}}
    assert len(FLOOR_OF) - 1 <= 23 and len(FLOORS) <= 10  # `__main__` is no room
    assert len(arrows) <= 118
    listed = {("the package", other) for other in parts_imported(PACKAGE / "__init__.py")}
    scripts = {(path.parent.name, other) for path in SCRIPTS for other in parts_imported(path)}
    assert len(arrows | listed | scripts) <= 150


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    wrong = {other for other in parts_imported(path) if other != part and FLOOR_OF[other] >= FLOOR_OF[part]}
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_parts_that_know_nothing_of_each_other_do_not_import_each_other(path: Path) -> None:
    part, found = part_of(path), parts_imported(path)
    if part in MATHEMATICS:
        assert found <= {"errors", "utils", *MATHEMATICS}
        utilities = {name for name in imports(path) if name in MODULES and name.startswith("wassergan.utils")}
        assert utilities <= PLAIN_VALUES
    if part == "training":
        assert not found & UNKNOWN_TO_TRAINING
    if part == "report":
        assert not found & {"training", "data", "networks"}


def test_only_the_plots_import_matplotlib() -> None:
    drawing = {name for name, path in modules().items() if any(i.split(".")[0] == "matplotlib" for i in imports(path))}
    assert drawing and all(name.startswith("wassergan.plots.") for name in drawing)


def test_no_module_imports_itself_in_a_circle() -> None:
    known = modules()
    graph = {name: {i for i in imports(path) if i in known and i != name} for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join((*way, name))
        if name not in done:
            for other in graph[name]:
                # A package re-exports what its own files define.
                if not (name.startswith(f"{other}.") or other == "wassergan"):
                    visit(other, (*way, name))
            done.add(name)

    for name in known:
        visit(name, ())


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=True, timeout=120)


HEAVY = "torch numpy scipy sklearn matplotlib PIL tqdm tensorboard onnx safetensors"


@pytest.mark.parametrize("argv", [["--help"], ["--version"], []])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    script = f"""
import sys
from wassergan.cli.main import main
main({argv!r})
print("heavy:", *sorted(set("{HEAVY}".split()) & set(sys.modules)))
"""
    assert run("-c", script).stdout.splitlines()[-1].strip() == "heavy:"


@pytest.mark.parametrize(
    "verb", ["train", "resume", "sample", "evaluate", "compare", "visualize", "export", "report", "info", "env"]
)
def test_help_of_a_verb_imports_nothing_heavy(verb: str) -> None:
    script = f"""
import sys
from wassergan.cli.main import main
main(["{verb}", "--help"])
print("heavy:", *sorted(set("{HEAVY}".split()) & set(sys.modules)))
"""
    assert run("-c", script).stdout.splitlines()[-1].strip() == "heavy:"


def test_a_run_imports_nothing_that_takes_a_second_and_is_not_used(tmp_path: Path) -> None:
    script = f"""
import sys
from wassergan.cli.main import main
argv = ["train", "digits", "--out", {str(tmp_path / "run")!r}, "--steps", "2", "--batch-size", "8"]
assert main([*argv, "--no-tensorboard", "--no-previews"]) == 0
unused = "tensorboard sklearn scipy.stats scipy.special sympy torch._dynamo pandas pyarrow ot"
print("heavy:", *sorted(set(unused.split()) & set(sys.modules)))
"""
    assert run("-c", script).stdout.splitlines()[-1].strip() == "heavy:"
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_importing_the_package_is_silent() -> None:
    done = run("-W", "error", "-c", "import wassergan")
    assert done.stdout == done.stderr == ""


def test_the_public_names_exist_and_are_listed() -> None:
    import wassergan

    assert all(hasattr(wassergan, name) for name in wassergan.__all__)
    assert dir(wassergan) == sorted(wassergan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'wasserstein'"):
        _ = wassergan.wasserstein  # type: ignore[attr-defined]


TOP = "exact_w1 w1_interval sliced_w1 W1Estimator certify WassersteinGAN Trainer open_source train_run open_sampler"


def test_the_top_level_offers_what_is_asked_for_most() -> None:
    import wassergan

    assert {*TOP.split(), "evaluate_run"} <= set(wassergan.__all__)
    for name in {*wassergan.__all__} - {"__version__"}:
        home = getattr(wassergan, name).__module__
        assert home.startswith("wassergan."), name


def test_every_package_says_what_is_public() -> None:
    silent = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("__init__.py")
        if not any(
            isinstance(target, ast.Name) and target.id == "__all__"
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
        )
    ]
    assert not silent


# The estimator itself derives from classes of scikit-learn, which imports pandas where it is.
UNUSED = {
    "wassergan.estimator": "torch sklearn scipy pandas jinja2 matplotlib PIL openpyxl tensorboard onnx",
    "wassergan.estimator.wasserstein_gan": "jinja2 matplotlib PIL openpyxl tensorboard onnx",
    "wassergan.distances": "jinja2 matplotlib PIL sklearn pandas pyarrow",
    "wassergan.lipschitz": "jinja2 matplotlib PIL sklearn pandas pyarrow",
}


@pytest.mark.parametrize("name", UNUSED)
def test_importing_a_part_loads_no_library_that_only_others_need(name: str) -> None:
    loaded = f'print("loaded:", *sorted(set("{UNUSED[name]}".split()) & set(sys.modules)))'
    assert run("-c", f"import sys, {name}\n{loaded}").stdout.strip() == "loaded:"


def bodies() -> dict[str, int]:
    """The lines of each function's body without its docstring."""
    found = {}
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                found[f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}"] = lines
    return found


def test_functions_are_short() -> None:
    lines = bodies()
    assert not {name: count for name, count in lines.items() if count > 60}
    assert sorted(lines.values())[int(0.99 * len(lines))] <= 35


def test_no_test_asserts_a_time() -> None:
    """No assertion compares a reading of the clock with a number of seconds."""
    clock = re.compile(r"perf_counter|time\.time|monotonic|seconds")
    guilty = [
        f"{path.name}:{node.lineno}"
        for path in Path(__file__).parent.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Lt | ast.LtE) for operator in node.ops)
        and clock.search(ast.unparse(node))
        and any(isinstance(side, ast.Constant) and side.value not in (0, None) for side in node.comparators)
    ]
    assert not guilty


def test_the_library_does_not_print() -> None:
    printing = [
        name
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing


# `torchrun` is another program; its flags are written as it has them.
FLAG = re.compile(r"(?<![\w-])(?<!torchrun )--[a-z]")


def literal_text(node: ast.AST) -> str:
    """The text of a literal or of one that is put together, with `x` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(literal_text(part) or "x" for part in parts)
        case ast.BinOp(left=left, op=ast.Add()):
            return f"{literal_text(left)}x"
    return ""


def flags_in_texts(path: Path) -> set[int]:
    """Lines in whose literal texts flags of the command line stand; comments are none."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {getattr(node, "lineno", 0) for node in nodes if FLAG.search(literal_text(node))}


def test_only_the_command_line_knows_flags() -> None:
    """Below it, texts name parameters (`errors.parameter`, which spells both); docstrings are texts too."""
    found = {path: flags_in_texts(path) for path in FILES if part_of(path) not in ("cli", "errors")}
    assert not {str(path): lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('hint = "use --network mlp"', 1),
        ('hint = f"use {name}: --size"', 1),
        ('def f():\n    """Takes --size."""', 1),
        ('hint = f"use --{name}"', 1),
        ('hint = "use --" + name', 1),
        ('style = "--"', 0),
        ("hint = f\"use {parameter('network')}\"", 0),
        ('words = "a -- b, x--y and torchrun --max-restarts |---|"', 0),
    ],
)
def test_flags_in_texts_are_found(line: str, found: int, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(line, encoding="utf-8")
    assert len(flags_in_texts(tmp_path / "a.py")) == found


MODALITIES = {"image", "field", "volume", "series", "vector", "table"}


def branches_on_modality(path: Path) -> Iterator[str]:
    """Comparisons of a kind with the name of a modality, and codecs told apart by their class."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare) and re.search(r"\bkind$", ast.unparse(node.left)):
            values = {
                each.value for side in node.comparators for each in ast.walk(side) if isinstance(each, ast.Constant)
            }
            if values & MODALITIES:
                yield ast.unparse(node)
        if isinstance(node, ast.Call) and re.match(r"isinstance\(.*Codec\b", ast.unparse(node)):
            yield ast.unparse(node)


def test_what_differs_between_modalities_is_in_their_classes() -> None:
    assert not {str(path): found for path in FILES if (found := list(branches_on_modality(path)))}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('ok = state.kind == "table"', 1),
        ('ok = kind not in ("image", "field")', 1),
        ("ok = isinstance(source.codec, TableCodec)", 1),
        ('ok = column.kind == "category" or layout == "table"', 0),
    ],
)
def test_branches_on_modality_are_found(line: str, found: int, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(line, encoding="utf-8")
    assert len(list(branches_on_modality(tmp_path / "a.py"))) == found


# What a checkpoint holds is read by name from a typed state; the trainer's own entries belong to trainer and guard.
ENTRIES = {"settings", "shape", "kind", "codec", "conditions", "fingerprint", "notes", "best", "rollbacks", "trainer"}
TOLD_APART = {"trainer", "fingerprint", "rollbacks"}  # no other mapping has them
LAYOUT = "session/state.py"


def raw_reads(path: Path) -> Iterator[str]:
    """Entries of checkpoints that a module takes out of a mapping."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            owner, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop"):
            owner, key = node.func.value, node.args[0] if node.args else node
        else:
            continue
        name = key.value if isinstance(key, ast.Constant) else None
        held = ast.unparse(owner) in ("content", "checkpoint", "former.content", "self.content")
        if name in TOLD_APART or (name in ENTRIES and held):
            yield f"{path.relative_to(PACKAGE)}:{node.lineno} {ast.unparse(node)}"


def test_raw_checkpoints_are_read_in_one_module() -> None:
    found = [each for path in modules().values() if not path.match(LAYOUT) for each in raw_reads(path)]
    assert not found and len(list(raw_reads(PACKAGE / LAYOUT))) >= len(ENTRIES)


def names_of_the_package(path: Path) -> Iterator[str]:
    """Whole names of what a script imports from the package or names in a string."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (
                f"{node.module}.{each.name}" for each in node.names if (node.module or "").startswith("wassergan")
            )
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("wassergan"))
        elif isinstance(node, ast.Constant) and re.fullmatch(r"wassergan(\.[a-z_0-9]+)+", str(node.value)):
            yield str(node.value)
        elif isinstance(node, ast.JoinedStr) and ast.unparse(node)[2:].startswith("wassergan.{"):
            yield "wassergan.a name that is put together: write it in full"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_name_what_is_there(path: Path) -> None:
    for name in names_of_the_package(path):
        resolve_name(name)


@pytest.mark.parametrize(
    "line",
    [
        *('import_module("wassergan.gone")', "from wassergan.runs.train import gone", "import wassergan.gone"),
        'import_module(f"wassergan.{each}")',
    ],
)
def test_a_name_that_is_gone_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(line, encoding="utf-8")
    with pytest.raises((AttributeError, ModuleNotFoundError, ValueError)):
        test_scripts_name_what_is_there(tmp_path / "a.py")
