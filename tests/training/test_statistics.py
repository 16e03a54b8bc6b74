import pytest
import torch

from wassergan.training.statistics import Statistics


def scalars(**values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


def test_reading_gives_the_mean_of_each_name_since_the_last_reading() -> None:
    statistics = Statistics()
    assert statistics.read() == {}
    for value in (1.0, 2.0, 6.0):
        statistics.add(scalars(gap=value))
    statistics.add(scalars(loss=4.0))
    assert statistics.read() == {"gap": 3.0, "loss": 4.0}
    statistics.add(scalars(gap=7.0))
    assert statistics.read() == {"gap": 7.0}


def test_sums_survive_saving_half_way() -> None:
    statistics, again = Statistics(), Statistics()
    statistics.add(scalars(gap=1.0))
    again.load_state_dict(statistics.state_dict())
    again.add(scalars(gap=4.0))
    assert again.read() == {"gap": 2.5}


def test_a_value_that_its_owner_changes_later_stays_as_it_was_added() -> None:
    statistics, value = Statistics(), torch.tensor(2.0)
    statistics.add({"gap": value})
    value.fill_(100.0)
    assert statistics.read() == {"gap": 2.0}


def test_not_finite_values_show() -> None:
    statistics = Statistics()
    statistics.add(scalars(gap=float("nan")))
    statistics.add(scalars(gap=1.0))
    assert not statistics.peek()["gap"].isfinite()
    assert statistics.read()["gap"] != pytest.approx(1.0)
