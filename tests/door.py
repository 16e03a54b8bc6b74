"""What of a module's source goes past the door: whatever opens, makes, moves or removes a file by its name.

A mention is enough, a call is not needed: `map(Path.unlink, paths)` and `remove = os.unlink` count. A library may open
what it is handed as a stream, or a path in `require_regular(...)` at that very place; the names of temporary files that
`replacing` gives may be written to through `filling` and `fill` alone.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

# Of these modules only what is listed may be mentioned: the rest touches files, or leads to what does.
FREE = {
    "os": {
        *("PathLike", "DirEntry", "environ", "fspath", "fsdecode", "fsencode", "sep", "altsep", "linesep", "devnull"),
        *("name", "path", "getpid", "getppid", "kill", "cpu_count", "sched_getaffinity", "sysconf", "strerror"),
        *("stat", "stat_result", "fstat", "scandir", "walk", "listdir", "isatty", "get_terminal_size", "getenv"),
        *("fork", "register_at_fork", "getloadavg", "uname", "_exit", "umask"),
        # of descriptors, which the door gave
        *("close", "dup", "dup2", "fsync", "pread", "preadv", "pwrite", "read", "write", "ftruncate", "lseek"),
        *("SEEK_SET", "SEEK_CUR", "SEEK_END"),
    },
    "shutil": {"disk_usage", "get_terminal_size", "which"},
    "io": {
        *("BytesIO", "StringIO", "TextIOWrapper", "TextIOBase", "BufferedReader", "BufferedWriter", "IOBase"),
        *("RawIOBase", "BufferedIOBase", "UnsupportedOperation", "SEEK_SET", "SEEK_CUR", "SEEK_END"),
    },
    "tempfile": set(),
    "builtins": set(),
    "posix": set(),
    "_io": set(),
    "mmap": set(),
    "codecs": {"lookup", "BOM_UTF8", "BOM_UTF16_LE", "BOM_UTF16_BE", "BOM_UTF32_LE", "BOM_UTF32_BE", "CodecInfo"},
    **{name: set() for name in ("fileinput", "sqlite3", "shelve", "dbm", "linecache", "subprocess", "joblib", "glob2")},
    # of HDF5: what lies in a file that is open, and types
    "h5py": {"h5d", "h5g", "h5l", "h5o", "h5s", "h5t", "Dataset", "Empty", "string_dtype"},
    "h5netcdf": set(),
    "netCDF4": set(),
    "xarray": set(),
    "zarr": set(),
}
# These open the stream or the name that is their first argument.
TAKE_STREAMS = {
    *("numpy.load", "numpy.save", "numpy.savez", "numpy.savez_compressed", "numpy.savetxt", "numpy.loadtxt"),
    *("numpy.genfromtxt", "numpy.fromfile", "torch.load", "torch.save", "torch.jit.load", "torch.jit.save"),
    *("torch.export.load", "torch.export.save", "zipfile.ZipFile", "gzip.open", "bz2.open", "lzma.open"),
    *("bz2.BZ2File", "lzma.LZMAFile", "zipfile.PyZipFile", "PIL.Image.open", "openpyxl.load_workbook"),
    *("pyarrow.parquet.ParquetFile", "pyarrow.parquet.ParquetWriter", "pyarrow.parquet.read_metadata"),
    *("pyarrow.parquet.read_table", "pyarrow.parquet.write_table", "pyarrow.parquet.read_schema"),
    *("pyarrow.ipc.open_file", "pyarrow.ipc.open_stream", "pyarrow.ipc.new_file", "pyarrow.ipc.new_stream"),
    *("pyarrow.RecordBatchFileReader", "pyarrow.RecordBatchFileWriter", "pyarrow.PythonFile"),
    *("pyarrow.feather.read_table", "pyarrow.feather.read_feather", "pyarrow.feather.write_feather"),
    *("pyarrow.csv.read_csv", "pyarrow.csv.open_csv", "pyarrow.csv.write_csv", "pyarrow.json.read_json"),
    *("xml.etree.ElementTree.parse", "xml.etree.ElementTree.iterparse", "safetensors.safe_open"),
    *("safetensors.torch.load_file", "onnx.load", "onnx.load_model", "matplotlib.image.imread"),
    *("hashlib.file_digest", "pickle.load", "pickle.dump", "json.load", "json.dump"),
}
FILEOBJ_ELSEWHERE = {"tarfile.open", "tarfile.TarFile", "gzip.GzipFile"}  # the stream is their `fileobj`
NEVER = {
    *("numpy.memmap", "numpy.lib.format.open_memmap", "numpy.lib.npyio.DataSource", "numpy.DataSource"),
    *("torch.from_file", "torch.UntypedStorage.from_file", "pyarrow.memory_map", "pyarrow.create_memory_map"),
    *("pyarrow.OSFile", "pyarrow.input_stream", "pyarrow.output_stream", "pyarrow.fs", "pyarrow.dataset"),
    *("pyarrow.parquet.ParquetDataset", "safetensors.torch.save_file", "safetensors.numpy.save_file", "onnx.save"),
    *("scipy.io", "logging.FileHandler", "logging.handlers", "torch.hub", "matplotlib.image.imsave"),
    *("torch.utils.tensorboard.SummaryWriter", "pathlib.os", "zipfile.Path", "torch.serialization", "zipimport"),
}
NEVER_PREFIXES = ("pandas.read_", "polars.read_", "polars.scan_", "matplotlib.pyplot.savefig", "imageio.", "cv2.im")
# Attributes of paths, arrays, frames and figures, whatever they are attributes of.
METHODS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "rmdir", "mkdir", "touch", "rename"),
    *("symlink_to", "hardlink_to", "link_to", "chmod", "lchmod", "rmtree", "makedirs", "removedirs", "renames"),
    *("tofile", "fromfile", "copy_into", "move_into", "to_csv", "to_parquet", "to_feather", "to_pickle", "to_excel"),
    *("to_json", "to_hdf", "to_stata", "write_html", "write_image", "write_json", "extractall", "load_workbook"),
}
WRITERS = {"savefig", "save"}  # whose first argument is a stream, or no name of a file
ALSO_CALLED = METHODS | {"replace", "save", "savefig"}
ROOTS = {
    "numpy",
    "torch",
    "pyarrow",
    "zipfile",
    "tarfile",
    "gzip",
    "bz2",
    "lzma",
    "safetensors",
    "onnx",
    "pandas",
    *FREE,
}
DOOR = "wassergan.storage.files"
THROUGH = {"wassergan.data.readers.marks.reading_marked"}  # gives what the door gave
STREAMS_OF = {"reading", "filling", "appending", "standard_output"}
IN_MEMORY = {"io.BytesIO", "io.StringIO", "pyarrow.BufferOutputStream", "pyarrow.BufferReader"}
ARCHIVES = ("ZipFile",)
NAMES = {"file", "fp", "f", "fileobj", "source", "fname"}  # of an opener's first argument
STREAM_TYPES = {"IO", "BinaryIO", "BufferedReader", "BytesIO", "TextIO"}


@dataclass(frozen=True)
class Way:
    """A place that goes past the door: `where` is the function, `what` the name that is mentioned."""

    line: int
    where: str
    what: str


def ways_past(source: str) -> list[Way]:
    """All of a module's."""
    return sorted(_Search(ast.parse(source)).ways(), key=lambda way: way.line)


class _Search(ast.NodeVisitor):
    def __init__(self, tree: ast.Module) -> None:
        self._tree, self._names = tree, dict(_imported(tree))
        self._parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self._found: list[Way] = []
        self._asked: set[tuple[str, ast.AST]] = set()
        # Functions of the module that give streams: mypy sees to it that they do.
        self._own_streams = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.returns is not None and _words(node.returns) & STREAM_TYPES
        }

    def ways(self) -> list[Way]:
        self.visit(self._tree)
        return self._found

    def _say(self, node: ast.AST, what: str) -> None:
        self._found.append(Way(node.lineno, self._scope_name(node), what))  # type: ignore[attr-defined]

    # --- what is mentioned

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if any(each.name == "*" for each in node.names):
            self._say(node, f"from {node.module} import *")

    def visit_Name(self, node: ast.Name) -> None:
        if self._is_harmless(node):
            return
        name = self._names.get(node.id, node.id)
        if (
            node.id in ("open", "exec", "eval", "__import__", "__builtins__", "__loader__")
            and node.id not in self._names
        ):
            self._say(node, node.id)
        elif name in FREE and not isinstance(self._parents[node], ast.Attribute) and not self._is_asked_for(node):
            self._say(node, f"{name} itself")
        elif node.id in self._names:
            self._judge(node, name)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not self._is_harmless(node):
            dotted = self._dotted(node)
            if dotted is None or not self._judge(node, dotted):
                self._judge_method(node, dotted)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = self._dotted(node.func) or ""
        texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if called in ("getattr", "operator.methodcaller", "operator.attrgetter"):
            for text in texts:
                if text.split(".")[-1] in ALSO_CALLED:
                    self._say(node, f"{called} of {text}")
        if called in ("importlib.import_module", "importlib.__import__"):
            for text in texts:
                if text.split(".")[0] in {*FREE, "pathlib"}:
                    self._say(node, f"import of {text}")
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        chosen = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if self._dotted(node.value) == "sys.modules" and chosen in FREE:
            self._say(node, f"sys.modules of {chosen}")
        self.generic_visit(node)

    def _is_asked_for(self, node: ast.Name) -> bool:
        call = self._parents[node]
        return isinstance(call, ast.Call) and _is_name(call.func, "hasattr")

    def _judge(self, node: ast.expr, dotted: str) -> bool:
        """Whether a dotted name is one that is known; what goes past the door is noted."""
        dotted = _rooted(dotted)
        root, _, rest = dotted.partition(".")
        if root in FREE and rest:
            if rest.split(".")[0] not in FREE[root]:
                self._say(node, dotted)
            return True
        if any(dotted == each or dotted.startswith(each + ".") for each in NEVER) or dotted.startswith(NEVER_PREFIXES):
            self._say(node, dotted)
            return True
        if dotted in TAKE_STREAMS | FILEOBJ_ELSEWHERE:
            if not self._gets_stream(node, at_fileobj=dotted in FILEOBJ_ELSEWHERE):
                self._say(node, dotted)
            return True
        return False

    def _judge_method(self, node: ast.Attribute, dotted: str | None) -> None:
        base = (dotted or "").rpartition(".")[0]
        if base.startswith("wassergan."):  # a function of ours, held to the same
            return
        is_method = node.attr in METHODS and not (node.attr == "open" and self._is_archive(node.value))
        is_writer = node.attr in WRITERS and not self._gets_stream(node)
        is_move = node.attr == "replace" and base not in ("str", "dataclasses") and self._is_move(node)
        if is_method or is_writer or is_move:
            self._say(node, f".{node.attr}")

    def _is_move(self, node: ast.Attribute) -> bool:
        """Whether it may be a path's: text takes two arguments, times and records take none without a name."""
        call = self._parents[node]
        if not isinstance(call, ast.Call) or call.func is not node:
            return True
        named = {each.arg for each in call.keywords}
        return len(call.args) == 1 or "target" in named or None in named or _is_starred(call)

    def _is_harmless(self, node: ast.expr) -> bool:
        """Whether a name stands for a type alone, or is bound here."""
        if not isinstance(getattr(node, "ctx", None), ast.Load):
            return True
        child: ast.AST = node
        while (parent := self._parents.get(child)) is not None and not isinstance(parent, ast.stmt):
            if isinstance(parent, ast.arg) and parent.annotation is child:
                return True
            if isinstance(parent, ast.Call) and self._dotted(parent.func) == "isinstance" and child in parent.args[1:]:
                return True
            child = parent
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
            return parent.returns is child
        return isinstance(parent, ast.AnnAssign) and parent.annotation is child

    # --- what it is handed

    def _gets_stream(self, node: ast.expr, *, at_fileobj: bool = False) -> bool:
        call = self._parents[node]
        if not isinstance(call, ast.Call) or call.func is not node or _is_starred(call):
            return False
        named = {each.arg: each.value for each in call.keywords}
        if at_fileobj:
            return "fileobj" in named and self._is_stream(named["fileobj"])
        streams = [named[name] for name in NAMES if name in named]
        if isinstance(node, ast.Attribute) and node.attr in WRITERS:  # objects of ours save by other means
            return not named.keys() & NAMES and (not call.args or any(map(self._is_stream, call.args[:2])))
        first = call.args[:1] or streams[:1]
        places = call.args[:2] if (self._dotted(node) or "").rpartition(".")[2] in ("save", "dump") else first
        return any(map(self._is_stream, places))

    def _is_stream(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            called = self._dotted(node.func) or ""
            if called == "str" and node.args:
                return self._is_stream(node.args[0])
            return called == f"{DOOR}.require_regular" or self._gives_stream(node)
        if isinstance(node, ast.IfExp):
            return self._is_stream(node.body) and self._is_stream(node.orelse)
        if not isinstance(node, ast.Name):
            return False
        key = (node.id, self._scope(node))
        if key in self._asked:  # bound to something made of itself: the other bindings decide
            return True
        self._asked.add(key)
        values = list(self._bindings(node))
        found = bool(values) and all(map(self._is_stream_value, values))
        self._asked.discard(key)
        return found

    def _is_stream_value(self, value: ast.expr | ast.arg) -> bool:
        if isinstance(value, ast.arg):
            return (
                value.annotation is not None
                and bool(_words(value.annotation) & STREAM_TYPES)
                and not (_words(value.annotation) & {"Path", "str"})
            )
        return self._is_stream(value)

    def _gives_stream(self, call: ast.Call) -> bool:
        called = _rooted(self._dotted(call.func) or "")
        module, _, name = called.rpartition(".")
        if module == DOOR:
            return name in STREAMS_OF
        if isinstance(call.func, ast.Attribute) and call.func.attr == "enter_context" and call.args:
            return self._is_stream(call.args[0])
        if called in IN_MEMORY | THROUGH or called in self._own_streams:
            return True
        if called in TAKE_STREAMS | FILEOBJ_ELSEWHERE:
            return self._gets_stream(call.func, at_fileobj=called in FILEOBJ_ELSEWHERE)
        return isinstance(call.func, ast.Attribute) and call.func.attr == "open" and self._is_archive(call.func.value)

    def _is_archive(self, node: ast.expr) -> bool:
        """Whether a name is bound to an archive alone, whose own members it opens."""
        if not isinstance(node, ast.Name):
            return False
        values = list(self._bindings(node))
        return bool(values) and all(
            bool(each.annotation and _words(each.annotation) & {*ARCHIVES})
            if isinstance(each, ast.arg)
            else isinstance(each, ast.Call) and (self._dotted(each.func) or "").endswith(ARCHIVES)
            for each in values
        )

    def _bindings(self, name: ast.Name) -> Iterator[ast.expr | ast.arg]:
        """What a name is bound to in the function around its use."""
        scope = self._scope(name)
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            arguments = scope.args
            for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                if each.arg == name.id:
                    yield each
        for node in ast.walk(scope):
            if isinstance(node, ast.withitem) and _is_name(node.optional_vars, name.id):
                yield node.context_expr
            elif (isinstance(node, ast.Assign) and any(_binds(target, name.id) for target in node.targets)) or (
                isinstance(node, ast.AnnAssign | ast.NamedExpr) and _is_name(node.target, name.id)
            ):
                yield node.value or ast.Constant(None)
            elif isinstance(node, ast.For | ast.comprehension) and _binds(node.target, name.id):
                yield ast.Constant(None)

    # --- where it stands

    def _dotted(self, node: ast.AST) -> str | None:
        """`numpy.load` of `np.load`; None of what begins with no name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        return ".".join([self._names.get(node.id, node.id), *reversed(parts)])

    def _scope(self, node: ast.AST) -> ast.AST:
        while node in self._parents:
            node = self._parents[node]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                return node
        return self._tree

    def _scope_name(self, node: ast.AST) -> str:
        scope = self._scope(node)
        while isinstance(scope, ast.Lambda):
            scope = self._scope(scope)
        return getattr(scope, "name", "")


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Every name that an import binds, anywhere in the module, and what it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield (each.asname, each.name) if each.asname else (each.name.split(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"


def _rooted(dotted: str) -> str:
    """`os.remove` of `pathlib.os.remove`: modules hold the modules that they import."""
    parts = dotted.split(".")
    if parts[0] == "wassergan":
        return dotted
    for place in range(len(parts) - 1, 0, -1):
        if parts[place] in ("os", "shutil", "builtins", "tempfile") and place < len(parts):
            return ".".join(parts[place:])
    return dotted


def _words(annotation: ast.expr) -> set[str]:
    text = annotation.value if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
    return set("".join(each if each.isalnum() else " " for each in str(text)).split())


def _is_name(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _binds(target: ast.expr, name: str) -> bool:
    return any(_is_name(each, name) for each in ast.walk(target))


def _is_starred(call: ast.Call) -> bool:
    return any(isinstance(each, ast.Starred) for each in call.args)
