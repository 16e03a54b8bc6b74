"""What every floor may use: seeds, the allocator, and what a program runs on."""

__all__: list[str] = []
