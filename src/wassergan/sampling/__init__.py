"""From a trained generator to samples in the user's units: in memory, on disk, on standard output."""

__all__: list[str] = []
