"""Principal components against NumPy's, and the margins along them."""

import numpy as np
import pytest
import torch

from wassergan.sampling.components import MARGINS, MOST, PARTS, ROWS, ComponentMargins, Components


@pytest.mark.parametrize("shape", [(3,), (1, 6, 7), (3, 20, 20)])
def test_components_are_those_of_a_singular_value_decomposition(shape: tuple[int, ...], rng: torch.Generator) -> None:
    numbers = int(np.prod(shape))
    scales = 0.8 ** torch.arange(numbers) + 1e-3
    samples = (torch.randn(1500, numbers, generator=rng) * scales + 5).unflatten(1, shape)
    found = Components.fit(samples)
    rows = samples.flatten(1).double().numpy()
    centred = rows - rows.mean(0)
    own = centred[:ROWS] if numbers > ROWS else centred  # components of large samples come from some of them
    _, values, directions = np.linalg.svd(own, full_matrices=False)
    count = min(MOST, numbers)
    wanted = centred @ directions[:count].T / (values[:count] / np.sqrt(len(own)))
    assert found.of(samples).shape == (1500, count)
    np.testing.assert_allclose(np.abs(found.of(samples).numpy()), np.abs(wanted), atol=2e-2)


def test_samples_that_vary_in_few_directions_or_none_have_few_components() -> None:
    plane = torch.randn(200, 2) @ torch.randn(2, 30)
    assert Components.fit(plane).directions.shape == (30, 2)
    same = Components.fit(torch.ones(50, 1, 4, 4))
    assert same.directions.shape[1] == 1 and same.of(torch.ones(3, 1, 4, 4)).isfinite().all()


def test_margins_hold_equally_many_of_the_samples_in_order(rng: torch.Generator) -> None:
    samples = torch.randn(4000, 1, 5, 8, generator=rng)
    components = Components.fit(samples)
    margins = ComponentMargins.fit(components, samples)
    cells = margins.cells(samples)
    assert margins.sizes == (PARTS,) * MARGINS and cells.shape == (4000, MARGINS)
    for column in range(MARGINS):
        counts = torch.bincount(cells[:, column], minlength=PARTS)
        assert counts.min() >= 499 and counts.max() <= 501
        order = components.of(samples)[:, column].argsort()
        assert (cells[order, column].diff() >= 0).all()
    again = ComponentMargins.from_state(margins.state(), numbers=40)
    assert torch.equal(again.cells(samples), cells)
    with pytest.raises(ValueError, match="other samples"):
        Components.from_state(components.state(), numbers=41)
    with pytest.raises(ValueError, match="other components"):
        ComponentMargins.from_state({**margins.state(), "edges": margins.edges[:, :3]}, numbers=40)
