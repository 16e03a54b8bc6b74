"""How fast presets train here, and how close critics come to distances that are known."""

__all__: list[str] = []
