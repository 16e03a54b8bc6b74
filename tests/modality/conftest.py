import pytest


@pytest.fixture(scope="module", autouse=True)
def figures_as_they_are(real_figures: None) -> None:
    """These tests look at figures."""
