import pytest
import torch

from wassergan.errors import UserError
from wassergan.lipschitz import GroupSort, MaxMin


def test_groups_are_sorted_and_a_short_last_group_too() -> None:
    values = torch.tensor([[3.0, 1.0, 2.0, 9.0, 8.0, 7.0, 5.0, 4.0]])
    assert GroupSort(3)(values).tolist() == [[1, 2, 3, 7, 8, 9, 4, 5]]
    assert MaxMin()(torch.tensor([[2.0, 1.0, 0.0]])).tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("shape", [(4, 7), (4, 6, 3), (2, 5, 3, 3)])
def test_maxmin_is_groupsort_in_pairs_along_axis_1(shape: tuple[int, ...], rng: torch.Generator) -> None:
    values = torch.randn(shape, generator=rng)
    assert torch.equal(MaxMin()(values), GroupSort(2)(values))


@pytest.mark.parametrize("layer", [MaxMin(), GroupSort(3)])
def test_the_jacobian_is_a_permutation(layer: torch.nn.Module, rng: torch.Generator) -> None:
    values = torch.randn(1, 7, generator=rng)
    jacobian = torch.autograd.functional.jacobian(lambda v: layer(v)[0], values)[:, 0]
    assert torch.equal(jacobian @ jacobian.T, torch.eye(7))
    assert set(jacobian.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("size", [True, 2.5, None, "2", [2], torch.ones(2)])
def test_a_size_that_is_no_whole_number_is_refused(size: object) -> None:
    with pytest.raises(UserError, match="The size of a group must be a whole number: "):
        GroupSort(size)  # type: ignore[arg-type]


def test_groups_of_one_are_refused() -> None:
    with pytest.raises(UserError, match="Groups to sort need at least two features: 1"):
        GroupSort(1)
