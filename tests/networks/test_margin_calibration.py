import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from wassergan.networks.margin_calibration import MarginCalibration


def test_it_changes_nothing_and_leaves_nothing_in_a_checkpoint_at_first_or_later() -> None:
    calibration, values = MarginCalibration(3), torch.randn(4, 3)
    assert torch.equal(calibration.shifted(values), values) and torch.equal(calibration.bent(0, values), values)
    assert not calibration.bends(0) and calibration.quantile_map(0) is None
    calibration.set_quantile_map(0, torch.tensor([-1.0, 1]), torch.tensor([-0.5, 0.5]))
    calibration.stratify(2)
    assert calibration.bends(0) and calibration.state_dict() == {} and list(calibration.parameters()) == []


@given(seed=st.integers(0, 99), knots=st.integers(2, 9), strata=st.integers(0, 3))
def test_each_stratum_is_bent_and_shifted_its_own_way(seed: int, knots: int, strata: int) -> None:
    numbers = np.random.default_rng(seed)
    calibration, maps = MarginCalibration(2), []
    for stratum in range(strata + 1):
        if stratum == 1:
            calibration.stratify(strata)  # each begins with what all rows have
        maps.append([np.sort(numbers.uniform(-1, 1, knots)).astype(np.float32) for _ in range(2)])
        calibration.set_quantile_map(5, *map(torch.from_numpy, maps[-1]), stratum=stratum)
        calibration.shift[stratum] = stratum + 1.0
    places = torch.linspace(-1.2, 1.2, 40)[:, None]
    for stratum, (have, wanted) in enumerate(maps):
        rows = torch.full((40,), stratum)
        expected = np.interp(places[:, 0].numpy(), have, wanted)
        np.testing.assert_allclose(calibration.bent(5, places, rows)[:, 0], expected, atol=1e-4)
        assert (calibration.shifted(torch.zeros(40, 2), rows) == stratum + 1).all()
    np.testing.assert_allclose(calibration.bent(5, places)[:, 0], np.interp(places[:, 0].numpy(), *maps[0]), atol=1e-4)  # type: ignore[call-overload]
    if strata:
        calibration.reset_quantile_map(strata)
        inside = places[places.abs() <= 1][:, None]
        torch.testing.assert_close(
            calibration.bent(5, inside, torch.full((len(inside),), strata)), inside, atol=1e-5, rtol=0
        )
    calibration.reset_quantile_map()
    assert torch.equal(calibration.bent(5, places), places) and calibration.shift.shape == (1, 2)
