"""The accuracy of critics on distributions whose distance is known."""

__all__: list[str] = []
