"""Files on disk: the one door to them, locks, run folders, checkpoints and logs."""

__all__: list[str] = []
