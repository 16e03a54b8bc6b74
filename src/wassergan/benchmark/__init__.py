"""The speed of presets on this machine, and the accuracy of critics on known distances."""

__all__: list[str] = []
