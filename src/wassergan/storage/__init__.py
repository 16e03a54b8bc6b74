"""Files on disk: all access to them, locks, run folders, checkpoints and logs."""

__all__: list[str] = []
