"""What a run and a fit share: networks, sources and trainers built from settings, and restored from checkpoints."""

__all__: list[str] = []
