import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from wassergan.distances.boxes import Cells
from wassergan.distances.cells import c_transform, distances, paired_order

SHAPES = [(1, 1, 1), (5, 300, 2), (300, 7, 2), (700, 6000, 3), (1500, 900, 20), (40, 3000, 300)]


def problem(n, m, d, seed=0):
    rng = np.random.default_rng(seed)
    x, y, g = rng.normal(size=(n, d)), rng.normal(size=(m, d)), 0.1 * rng.normal(size=m)
    x[0] = y[0]
    i, j = paired_order(*map(torch.from_numpy, (x, y, np.full(n, 1 / n), np.full(m, 1 / m))))
    x, y = x[i.numpy()], y[j.numpy()]
    return Cells(torch.from_numpy(x)), Cells(torch.from_numpy(y)), torch.from_numpy(g), cdist(x, y) - g


@pytest.fixture
def by_products(monkeypatch):
    """Matrix products in few dimensions too."""
    monkeypatch.setattr("wassergan.distances.cells.DIRECT_DIM", 0)


@pytest.mark.usefixtures("by_products")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("keep", [1, 8])
def test_values_and_partners_are_those_of_the_full_matrix(shape, keep):
    x, y, g, reduced = problem(*shape)
    result = c_transform(x, y, g, keep=keep)
    best = np.sort(reduced, axis=1)[:, :keep]
    assert result.values.numpy() == pytest.approx(best[:, 0], abs=1e-12)
    found = np.sort(np.take_along_axis(reduced, result.nearest.numpy(), axis=1), axis=1)
    assert found == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 65, 2), (300, 7, 2), (700, 6000, 3), (129, 1000, 1), (65, 4097, 2)])
@pytest.mark.parametrize("keep", [1, 8, 100])
@pytest.mark.parametrize("steep", [0.1, 10.0])
def test_direct_values_and_partners_are_those_of_the_full_matrix(shape, keep, steep):
    """Cells are padded at their ends, and steep offsets put the best partner into a far box."""
    x, y, g, reduced = problem(*shape)
    g, reduced = g * steep, reduced + (1 - steep) * g.numpy()
    result = c_transform(x, y, g, keep=keep)
    best = np.sort(reduced, axis=1)[:, :keep]
    found = np.take_along_axis(reduced, result.nearest.numpy(), axis=1)
    assert found == pytest.approx(best, abs=1e-12)  # in order
    assert result.values.numpy() == pytest.approx(best[:, 0], abs=1e-13)


def test_a_last_cell_of_one_point_counts_once():
    """It is filled up for the arithmetic: its copies would be the best partners, and nothing else be looked at."""
    far = torch.arange(1.0, 641.0, dtype=torch.float64)[:, None] * torch.ones(2, dtype=torch.float64)
    columns = torch.cat([far, torch.zeros(1, 2, dtype=torch.float64)])
    origin = torch.zeros(1, 2, dtype=torch.float64)
    found = c_transform(Cells(origin), Cells(columns), torch.zeros(641, dtype=torch.float64), keep=4)
    assert found.nearest.tolist() == [[640, 0, 1, 2]]


def test_direct_ties_and_copies_keep_the_bound():
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64).repeat_interleave(200, dim=0)
    g = torch.zeros(400, dtype=torch.float64)
    g[399] = 2.0
    found = c_transform(Cells(points[:1]), Cells(points), g, keep=3)
    assert found.values.tolist() == [0.0]
    assert len(set(found.nearest[0].tolist())) == 3
    assert found.nearest.max() < 200  # 199 more copies are nearer than 3, the distance to the raised one


@pytest.mark.usefixtures("by_products")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_the_coarse_pass_in_single_precision_keeps_the_bound(shape, offset, monkeypatch):
    monkeypatch.setattr("wassergan.distances.cells._SINGLE_ABOVE", 0)
    x, y, g, reduced = problem(*shape)
    values = c_transform(Cells(x.points + offset), Cells(y.points + offset), g, keep=2).values.numpy()
    exact = reduced.min(1)
    # Doubtful rows are done again in float64, so single precision leaves no trace.
    assert values == pytest.approx(exact, abs=1e-12 * (1 + offset))


@pytest.mark.usefixtures("by_products")
@pytest.mark.parametrize("single_above", [0, 2**21])
def test_ties_keep_the_bound(single_above, monkeypatch):
    """More equal distances than partners: nothing but the error margin tells the coarse pass from the truth."""
    monkeypatch.setattr("wassergan.distances.cells._SINGLE_ABOVE", single_above)
    angles = torch.linspace(0, 2 * torch.pi, 2000, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    centre = torch.tensor([[1e-3, 0.0]], dtype=torch.float64)
    g = (centre - circle).norm(dim=1) - 1  # every reduced cost is 1
    value = c_transform(Cells(centre), Cells(circle), g, keep=8).values.item()
    assert 1 - 1e-12 < value <= 1 + 1e-15


@pytest.mark.usefixtures("by_products")
@pytest.mark.parametrize(("columns", "good"), [(100, 100), (512, 512), (512, 32)])
def test_what_single_precision_cannot_tell_apart_is_looked_at_again(columns, good, monkeypatch):
    """All groups are looked into; good columns fill more groups than are; or every group has a single one."""
    monkeypatch.setattr("wassergan.distances.cells._SINGLE_ABOVE", 0)
    angles = torch.linspace(0, 2 * torch.pi, columns, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()], dim=1)
    centre = torch.tensor([[1e-3, 0.0]], dtype=torch.float64)
    for seed in range(8):
        reduced = 1 + 1e-12 * torch.randperm(columns, generator=torch.Generator().manual_seed(seed)).double()
        reduced[good:] += 1
        g = (centre - circle).norm(dim=1) - reduced
        value = c_transform(Cells(centre), Cells(circle), g, keep=8).values.item()
        assert value == pytest.approx(reduced.min().item(), abs=2e-13)


def test_direct_boxes_that_are_far_are_skipped(monkeypatch):
    from wassergan.distances import direct

    looked_at = []
    smallest = direct._smallest

    def counted(heights, keep):
        looked_at.append(heights.numel())
        return smallest(heights, keep)

    monkeypatch.setattr(direct, "_smallest", counted)
    x, y, g, reduced = problem(3000, 20000, 2)
    result = c_transform(x, y, 0 * g, keep=2)
    assert result.values.numpy() == pytest.approx((reduced + g.numpy()).min(1), abs=1e-12)
    assert 0 < sum(looked_at) < 0.3 * 3000 * 20000


@pytest.mark.usefixtures("by_products")
def test_cells_that_are_far_are_skipped(monkeypatch):
    from wassergan.distances import cells

    looked_at = []
    scan = cells._scan
    monkeypatch.setattr(
        cells,
        "_scan",
        lambda r, y, g, columns, *rest: looked_at.append(len(columns)) or scan(r, y, g, columns, *rest),  # type: ignore[func-returns-value]
    )
    x, y, g, reduced = problem(3000, 20000, 2)
    result = c_transform(x, y, 0 * g, keep=2)
    assert result.values.numpy() == pytest.approx((reduced + g.numpy()).min(1), abs=1e-12)
    assert 0 < sum(looked_at) < 0.4 * len(x.low) * 20000


@pytest.mark.parametrize(("n", "m"), [(64, 64), (1, 5), (37, 90)])
def test_paired_order_is_two_permutations(n, m):
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m))
    i, j = paired_order(*map(torch.from_numpy, clouds))
    assert sorted(i.tolist()) == list(range(n))
    assert sorted(j.tolist()) == list(range(m))


def test_paired_order_puts_clusters_side_by_side():
    rng = np.random.default_rng(0)
    centres = 10 * np.repeat(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), 32, axis=0)
    x, y = (centres + 0.1 * rng.normal(size=centres.shape) for _ in range(2))
    mass = torch.full((128,), 1 / 128, dtype=torch.float64)
    i, j = paired_order(torch.from_numpy(x), torch.from_numpy(y), mass, mass)
    assert (np.linalg.norm(x[i] - y[j], axis=1) < 2).all()


def test_distances_do_not_cancel():
    x = torch.tensor([[1e8, 0.0], [1.0, 1.0]], dtype=torch.float64)
    y = torch.tensor([[1e8, 1e-6], [1.0, 1.0]], dtype=torch.float64)
    assert distances(x, y).tolist() == [1e-6, 0]


@pytest.mark.parametrize("direct_dim", [0, 3])
def test_offsets_that_dwarf_the_distances_lose_no_cell(direct_dim, monkeypatch):
    monkeypatch.setattr("wassergan.distances.cells.DIRECT_DIM", direct_dim)
    points = torch.linspace(0, 1, 4000, dtype=torch.float64)[:, None]
    g = points[:, 0] * 1e6 + 1e9
    values = c_transform(Cells(points), Cells(points), g, keep=1).values
    reduced = cdist(points, points) - g.numpy()
    assert values.numpy() == pytest.approx(reduced.min(1), abs=1e-6)
    assert (values.numpy() <= reduced.min(1) + 1e-6).all()
