"""What a run and a fit share: networks, sources and trainers built from settings, restored, and timed."""

__all__: list[str] = []
