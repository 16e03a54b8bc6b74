"""Utilities for every layer: random streams, shards of batches, the allocator, and the runtime environment."""

__all__: list[str] = []
