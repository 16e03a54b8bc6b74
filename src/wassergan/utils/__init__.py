"""What every floor may use: random streams, shards of batches, the allocator, and what a program runs on."""

__all__: list[str] = []
