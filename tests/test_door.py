"""No module but the door's own opens, makes, moves or removes a file by its name."""

import sys
from pathlib import Path

import pytest

import wassergan

sys.path.insert(0, str(Path(__file__).parent))
from door import ways_past

PACKAGE = Path(wassergan.__file__).parent  # the one that is imported: bugs are put into a copy
DOORS = {f"storage/{name}.py" for name in ("files", "scratch", "sizes", "streams", "arrays")}
# Module, function and what is mentioned there; each with its reason.
ALLOWED = {
    (
        "callbacks/tensorboard.py",
        "on_train_begin",
        "torch.utils.tensorboard.SummaryWriter",
    ): "makes a name of its own in a folder of the run that was looked at before, and takes no stream",
    ("report/assets.py", "asset", ".read_text"): "a part of this package, which may be packed",
    ("cli/watch.py", "_checked", ".save"): "of the monitor's state, which goes through the door",
    ("runs/recorder.py", "_save", ".save"): "of the run's checkpoints, which go through the door",
    ("session/loop.py", "train", ".save"): "the same",
    ("data/tables/number_dress.py", "wear", ".open"): "a field: whether numbers end with a point",
}
MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", [name for name in MODULES if name not in DOORS])
def test_no_other_module_goes_past_the_door(module: str) -> None:
    found = ways_past((PACKAGE / module).read_text(encoding="utf-8"))
    past = [way for way in found if (module, way.where, way.what) not in ALLOWED]
    assert not past, f"{module}: go through wassergan.storage.files instead, or hand it a stream from there: {past}"


def test_what_is_allowed_is_still_there() -> None:
    modules = {module for module, _, _ in ALLOWED}
    found = {(name, way.where, way.what) for name in modules for way in ways_past((PACKAGE / name).read_text())}
    assert found.issuperset(ALLOWED), "take what is gone out of the list"


PLANTED = {
    # the same word in all its disguises
    "open": "open('a')",
    "open in a default": "def f(opener=open): return opener('a')",
    "open handed on": "list(map(open, paths))",
    "open of builtins": "import builtins\nbuiltins.open('a')",
    "open by another name": "from builtins import open as look\nlook('a')",
    "open out of the dictionary": "__builtins__['open']('a')",
    "io.open": "import io\nio.open('a')",
    "io.FileIO": "from io import FileIO\nFileIO('a')",
    "a subclass of FileIO": "import io\nclass Mine(io.FileIO): pass",
    "codecs.open": "import codecs\ncodecs.open('a')",
    "os.open": "import os\nos.open('a', 0)",
    "os.open, os under another name": "import os as system\nsystem.open('a', 0)",
    "os handed on": "import os\nsystem = os\nsystem.open('a', 0)",
    "getattr of os": "import os\ngetattr(os, 'unlink')('a')",
    "the dictionary of os": "import os\nos.__dict__['unlink']('a')",
    "vars of os": "import os\nvars(os)['unlink']('a')",
    "os in sys.modules": "import sys\nsys.modules['os'].unlink('a')",
    "os by its name": "from importlib import import_module\nimport_module('os').unlink('a')",
    "os by __import__": "__import__('os').remove('a')",
    "os within another module": "import pathlib\npathlib.os.remove('a')",
    "os in a class": "import os\nclass A:\n    system = os",
    "all of os": "from os import *",
    "posix": "import posix\nposix.unlink('a')",
    "exec": "exec('open(1)')",
    "eval": "eval('open')('a')",
    "unlink by another name": "from os import unlink as u\nu('a')",
    "unlink handed on": "from pathlib import Path\nlist(map(Path.unlink, paths))",
    "unlink of a path": "path.unlink()",
    "unlink within an expression": "(folder / 'a').unlink(missing_ok=True)",
    "unlink by its name": "getattr(path, 'unlink')()",
    "unlink by methodcaller": "from operator import methodcaller\nmethodcaller('unlink')(path)",
    "remove": "import os\nos.remove('a')",
    "remove kept for later": "import atexit, os\natexit.register(os.remove, 'a')",
    "rmdir": "path.rmdir()",
    "os.rmdir": "import os\nos.rmdir('a')",
    "rmtree": "from shutil import rmtree\nrmtree('a')",
    "shutil.move": "import shutil\nshutil.move('a', 'b')",
    "shutil.copyfile": "import shutil as s\ns.copyfile('a', 'b')",
    "os.replace": "import os\nos.replace('a', 'b')",
    "os.rename": "from os import rename\nrename('a', 'b')",
    "replace of a path": "path.replace(other)",
    "replace with a word": "path.replace(target=other)",
    "replace handed on": "from pathlib import Path\nmove = Path.replace",
    "rename of a path": "path.rename(other)",
    "symlink_to": "path.symlink_to(other)",
    "hardlink_to": "path.hardlink_to(other)",
    "os.link": "import os\nos.link('a', 'b')",
    "os.symlink": "import os\nos.symlink('a', 'b')",
    "mkdir": "path.mkdir(parents=True)",
    "makedirs": "from os import makedirs\nmakedirs('a')",
    "touch": "path.touch()",
    "chmod": "path.chmod(0)",
    "os.truncate": "import os\nos.truncate('a', 0)",
    "os.utime": "import os\nos.utime('a')",
    "os.mkfifo": "import os\nos.mkfifo('a')",
    "Path.open": "path.open('rb')",
    "open of Path itself": "from pathlib import Path\nPath.open(Path('a'))",
    "read_text": "path.read_text()",
    "read_bytes": "path.read_bytes()",
    "write_text": "path.write_text('a')",
    "write_bytes": "path.write_bytes(b'a')",
    "np.load": "import numpy as np\nnp.load('a')",
    "np.load of a path": "import numpy as np\ndef f(path):\n    return np.load(path)",
    "np.load handed on": "import numpy as np\nlist(map(np.load, paths))",
    "np.load by another name": "from numpy import load as get\nget('a')",
    "np.load of what may be a path": "import numpy as np\nfrom pathlib import Path\nfrom typing import IO\n"
    "def f(a: Path | IO[bytes]):\n    return np.load(a)",
    "np.load of a name that is bound anew": "import numpy as np\nfrom wassergan.storage.files import reading\n"
    "with reading(p) as file:\n    file = 'a'\n    np.load(file)",
    "np.save": "import numpy as np\nnp.save('a', values)",
    "np.savez": "import numpy as np\nnp.savez(path, values)",
    "np.savez_compressed": "import numpy\nnumpy.savez_compressed(path, values)",
    "np.memmap": "import numpy as np\nnp.memmap('a')",
    "open_memmap": "import numpy as np\nnp.lib.format.open_memmap('a')",
    "np.loadtxt": "import numpy as np\nnp.loadtxt('a')",
    "np.savetxt": "import numpy as np\nnp.savetxt('a', values)",
    "np.genfromtxt": "import numpy as np\nnp.genfromtxt('a')",
    "np.fromfile": "import numpy as np\nnp.fromfile('a')",
    "tofile": "values.tofile('a')",
    "mmap": "import mmap\nmmap.mmap(3, 0)",
    "torch.load": "import torch\ntorch.load('a')",
    "torch.load within a function": "def f():\n    import torch as t\n    return t.load('a')",
    "torch.save": "import torch\ntorch.save(weights, 'a')",
    "torch.jit.load": "import torch\ntorch.jit.load('a')",
    "torch.export.save": "import torch\ntorch.export.save(program, path)",
    "torch.from_file": "import torch\ntorch.from_file('a')",
    "torch.hub": "import torch\ntorch.hub.load('a', 'b')",
    "zipfile": "import zipfile\nzipfile.ZipFile('a')",
    "ZipFile": "from zipfile import ZipFile as Z\nwith Z(path) as archive: pass",
    "tarfile": "import tarfile\ntarfile.open('a')",
    "tarfile with a stream beside": "import tarfile\ntarfile.open('a', fileobj=None)",
    "gzip": "import gzip\ngzip.open('a')",
    "GzipFile": "import gzip\ngzip.GzipFile('a')",
    "GzipFile within a default": "import gzip\ndef f(a=gzip.open): return a('a')",
    "bz2": "import bz2\nbz2.open('a')",
    "lzma": "import lzma\nlzma.LZMAFile('a')",
    "Image.open": "from PIL import Image\nImage.open('a')",
    "Image.open by another name": "from PIL.Image import open as look\nlook('a')",
    "a picture saved": "picture.save('a.png')",
    "a picture saved with a word": "picture.save(fp='a.png', format='PNG')",
    "a figure saved": "figure.savefig('a.png')",
    "a temporary name": "from wassergan.storage.files import replacing\nwith replacing(p) as temporary:\n"
    "    figure.savefig(temporary)",
    "parquet": "from pyarrow import parquet\nparquet.ParquetFile('a')",
    "parquet in full": "import pyarrow.parquet as pq\npq.read_table('a')",
    "arrow": "import pyarrow\npyarrow.ipc.open_file('a')",
    "arrow, mapped": "import pyarrow as pa\npa.memory_map('a')",
    "arrow's own files": "import pyarrow as pa\npa.OSFile('a')",
    "arrow's data sets": "from pyarrow import dataset\ndataset.dataset('a')",
    "feather": "from pyarrow import feather\nfeather.read_table('a')",
    "pandas": "import pandas as pd\npd.read_csv('a')",
    "a frame to a file": "frame.to_csv('a')",
    "a frame to Parquet": "frame.to_parquet('a')",
    "openpyxl": "import openpyxl\nopenpyxl.load_workbook('a')",
    "safetensors": "from safetensors.torch import load_file\nload_file('a')",
    "safetensors saved": "from safetensors.torch import save_file\nsave_file(weights, 'a')",
    "joblib": "import joblib\njoblib.load('a')",
    "HDF5": "import h5py\nh5py.File('a', 'r')",
    "HDF5, of a stream": "import h5py\ndef f(file):\n    return h5py.File(file, 'r')",
    "NetCDF": "import h5netcdf\nh5netcdf.File('a')",
    "xarray": "import xarray\nxarray.open_dataset('a')",
    "Zarr": "import zarr\nzarr.open('a')",
    "MATLAB": "from scipy.io import savemat\nsavemat('a', {})",
    "sqlite": "import sqlite3\nsqlite3.connect('a')",
    "tempfile": "import tempfile\ntempfile.NamedTemporaryFile()",
    "TemporaryDirectory": "from tempfile import TemporaryDirectory\nTemporaryDirectory()",
    "mkstemp": "from tempfile import mkstemp as make\nmake()",
    "XML": "from xml.etree import ElementTree\nElementTree.parse('a')",
    "a log file": "import logging\nlogging.FileHandler('a')",
    "a program": "import subprocess\nsubprocess.run(['rm', 'a'])",
    "a shell": "import os\nos.system('rm a')",
    "a file that is linecached": "import linecache\nlinecache.getline('a', 1)",
    "in an annotation's default": "import os\ndef f(a: int = os.remove('a')): pass",
    "in a decorator": "import os\n@os.remove\ndef f(): pass",
    "in a lambda": "drop = lambda path: path.unlink()",
    "in a comprehension": "[path.unlink() for path in paths]",
    "after a walrus": "import os\nif (u := os.unlink): u('a')",
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found(what: str) -> None:
    assert ways_past(PLANTED[what])


FREE = {
    "a stream of the door": "import numpy as np\nfrom wassergan.storage.files import reading\n"
    "with reading(path) as file:\n    np.load(file)",
    "streams within each other": "import gzip\nimport wassergan.storage.files as f\n"
    "with f.reading(path) as packed, gzip.open(packed) as file:\n    file.read()",
    "an archive's member": "from zipfile import ZipFile\nfrom wassergan.storage.files import reading\n"
    "with reading(path) as file, ZipFile(file) as archive, archive.open('a') as member:\n    pass",
    "an archive as an argument": "from zipfile import ZipFile\ndef f(archive: ZipFile): return archive.open('a')",
    "a stream as an argument": "import torch\nfrom typing import IO\ndef f(file: IO[bytes]): return torch.load(file)",
    "bytes": "import io\nfrom PIL import Image\nImage.open(io.BytesIO(content))",
    "what must be a path": "from safetensors import safe_open\nfrom wassergan.storage.files import require_regular\n"
    "with safe_open(require_regular(path), framework='pt') as file:\n    pass",
    "a figure into the door": "from wassergan.storage.files import filling\nwith filling(temporary) as file:\n"
    "    figure.savefig(file, dpi=110)",
    "text": "text.replace('a', 'b').replace('c', 'd', 1)",
    "times and records": "import dataclasses\nmoment.replace(tzinfo=None)\ndataclasses.replace(record, a=1)",
    "lists": "names.remove('a')",
    "types": "import gzip, io\ndef f(file: gzip.GzipFile) -> io.FileIO: return isinstance(file, gzip.GzipFile)",
    "facts": "import os\nos.stat('a').st_size + len(os.environ) + os.cpu_count()",
    "what is asked for": "import os\nhasattr(os, 'sched_getaffinity')",
    "our own": "from wassergan.data import FileArray\nFileArray.open(path)",
    "other modules": "from importlib import import_module\nimport_module('fcntl')",
}


@pytest.mark.parametrize("what", FREE)
def test_what_goes_through_the_door_is_let_through(what: str) -> None:
    assert not ways_past(FREE[what])
