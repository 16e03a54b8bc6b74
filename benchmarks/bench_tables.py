"""Every table in docs/results: the commands that make it anew, the files they write, and what they need.

In a command, FOLDER is a folder of the table's own, RESULTS is docs/results, and PEERS the Python of an environment
with other generators of tables (see tables.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One table, or a page of several, that is made as a whole.

    Attributes:
        name: of its files in docs/results.
        commands: what makes it, in this order.
        more: further files of it in docs/results, beside NAME.json and NAME.md.
        continues: files that its scripts count on from, which are moved aside before it is begun anew; FOLDER, if a
            command that was ended goes on with what is in it.
        data: folders of ../shared/data that it reads.
        needs: `root` (a file system is mounted), `peers`, or modules of Python.
        page: that shows it, from docs/results, where it has no NAME.md of its own.
    """

    name: str
    commands: tuple[str, ...]
    more: tuple[str, ...] = ()
    continues: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    page: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """All of them, by name."""
        return (f"{self.name}.json", *(() if self.page else (f"{self.name}.md",)), *self.more)


def _funnels(*dims: int, counts: tuple[int, ...] = (4, 16, 64, 256)) -> str:
    return ",".join(f"funnels-{dim}-{count}" for dim in dims for count in counts)


_OTHERS = (
    "gaussians-2,gaussians-16,gaussians-128,balls-3-3,balls-16-3,cones,shells-128-1,squares-64-35,translation-16,"
    "line-normals"
)
_FINITE = "--test-count 262144"


def _w1(pairs: str, solvers: str, seeds: int, budget: str, rest: str = "", name: str = "w1") -> str:
    words = f"--pairs {pairs} --solvers {solvers} --seeds {seeds} --budget {budget} {rest} --out RESULTS/{name}.json"
    return " ".join(f"wassergan benchmark w1 {words}".split())


def _published(pairs: str, solvers: str, seeds: int, budget: str, rest: str = "") -> str:
    return _w1(pairs, solvers, seeds, budget, f"{rest} --published ../shared/data/w1_benchmark/published.csv")


TABLES = (
    # Pictures
    Table("quality_digits", ("python benchmarks/quality.py digits --budget 20s",)),
    Table(
        "quality_fashion",
        ("python benchmarks/quality.py fashion --budget 120s --seeds 1",),
        data=("fashion_mnist",),
    ),
    Table("digits", ("python benchmarks/presets.py digits --budget 30s --seeds 3 --runs FOLDER",), ("digits.png",)),
    Table(
        "fashion",
        ("python benchmarks/presets.py fashion --budget 60s --seeds 3 --runs FOLDER --evaluate '--count 4000'",),
        ("fashion.png",),
        data=("fashion_mnist",),
    ),
    Table(
        "pictures",
        (
            "python benchmarks/pictures.py fashion --budget 120s --again",
            "python benchmarks/pictures.py fashion --budget 120s --settings float32 linear mlp --seeds 0 --again",
        ),
        data=("fashion_mnist",),
    ),
    Table("time_to_quality", ("python benchmarks/time_to_quality.py",)),
    Table("precision", ("python benchmarks/precision.py --steps 200",)),
    # Tables and arrays
    Table(
        "tables_adult_3m",
        ("python benchmarks/tables.py adult --budget 3m --seeds 0,1,2 --beside argn=PEERS",),
        data=("adult",),
        needs=("peers",),
    ),
    Table("tables_adult_10m", ("python benchmarks/tables.py adult --budget 10m --seeds 0",), data=("adult",)),
    Table(
        "tables_magic_3m",
        ("python benchmarks/tables.py magic --budget 3m --seeds 0,1,2 --beside argn=PEERS",),
        data=("magic_gamma",),
        needs=("peers",),
    ),
    Table(
        "tables_california_3m",
        ("python benchmarks/tables.py california --budget 3m --seeds 0,1,2 --beside argn=PEERS",),
        data=("california_housing",),
        needs=("peers",),
    ),
    Table("tables_taxis_3m", ("python benchmarks/tables.py taxis --budget 3m --seeds 0",), data=("taxis",)),
    Table("tables_penguins_3m", ("python benchmarks/tables.py penguins --budget 3m --seeds 0",), data=("penguins",)),
    Table("conditions", ("python benchmarks/conditions.py --budget 3m --seeds 0,1,2",), data=("adult",)),
    Table(
        "table_uses",
        (
            "python benchmarks/table_uses.py cms --budget 3m --seeds 0,1,2",
            "python benchmarks/table_uses.py lalonde taxis levels --budget 3m",
        ),
        data=("cms_dilepton", "lalonde", "taxis"),
    ),
    Table(
        "completion",
        (
            "python benchmarks/completion.py adult --budget 3m",
            "python benchmarks/completion.py california --budget 3m",
        ),
        data=("adult", "california_housing"),
    ),
    Table("fields_given", ("python benchmarks/fields_given.py --budget 10m",), data=("era5_t2m_uk",)),
    Table("volumes", ("python benchmarks/volumes.py --budget 10m --seeds 0",), data=("rock3d",)),
    Table("series", ("python benchmarks/series.py --budget 10m --seeds 0,1,2",), data=("series",)),
    Table("large_data", ("python benchmarks/large_data.py --rows 20000000 --table-rows 10000000 --seconds 20",)),
    # Distances, critics and monitors
    Table(
        "w1",
        (
            _published(_funnels(2, 4, 8), "atoms,learned-atoms", 3, "8s"),
            _published(_funnels(16), "atoms,learned-atoms", 3, "10s"),
            _published(_funnels(32), "atoms,learned-atoms", 3, "15s"),
            _published(_funnels(64), "atoms,learned-atoms", 3, "20s"),
            _published(_funnels(128), "atoms", 3, "20s"),
            _published(_funnels(128, counts=(4, 16, 64)), "learned-atoms", 3, "30s"),
            _published(_funnels(128, counts=(256,)), "learned-atoms", 3, "540s", _FINITE),
            _published(_OTHERS, "atoms,learned-atoms,orthogonal", 1, "10s", _FINITE),
            _published("balls-64-3", "atoms,learned-atoms,orthogonal", 1, "30s", _FINITE),
            "python benchmarks/margins.py",  # the last section of the page
        ),
        ("w1_margins.json",),
        ("w1.json", "w1_margins.json"),
        ("w1_benchmark",),
    ),
    Table(
        "w1_finite",
        (
            _w1(_funnels(2, 4, 8), "learned-atoms", 1, "8s", _FINITE, "w1_finite"),
            _w1(_funnels(16), "learned-atoms", 1, "10s", _FINITE, "w1_finite"),
            _w1(_funnels(32), "learned-atoms", 1, "15s", _FINITE, "w1_finite"),
            _w1(_funnels(64), "learned-atoms", 1, "20s", _FINITE, "w1_finite"),
            _w1(_funnels(128, counts=(4, 16, 64)), "learned-atoms", 1, "30s", _FINITE, "w1_finite"),
            _w1(_funnels(128, counts=(256,)), "learned-atoms", 1, "540s", _FINITE, "w1_finite"),
        ),
        continues=("w1_finite.json",),
    ),
    Table("distances", ("python benchmarks/distances.py",)),
    Table("coverage", ("python benchmarks/coverage.py",), continues=("coverage.json",)),
    Table("watch", ("python benchmarks/watch.py",), continues=("watch.json",), data=("streams",)),
    # Speed
    Table("speed", ("python benchmarks/speed.py",)),
    Table("sampling", ("python benchmarks/sampling.py",)),
    Table("scaling", ("python benchmarks/scaling.py",), page="../scaling.md"),
    # Attempts to break it
    Table("ceilings", ("python benchmarks/ceilings.py",)),
    Table("kills", ("python benchmarks/kills.py --seed 0",)),
    Table("states", ("python fuzz/states.py 500 --steps 3 --seed 2100 --write",)),
    Table("full_disk", ("python benchmarks/full_disk.py",), needs=("root",)),
    Table("soak", ("python benchmarks/soak.py --budget 2h --every 60",)),
    Table(
        "fuzzing",
        ("python benchmarks/fuzzing.py --runs 1000000 --turn 300 --folder FOLDER",),
        continues=("FOLDER",),
        needs=("atheris",),
    ),
)
