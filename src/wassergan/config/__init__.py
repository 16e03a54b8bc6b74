"""Settings of every verb, and presets: named settings."""

__all__: list[str] = []
