import torch

from wassergan.utils.shard import WHOLE, BatchShard


def test_shards_are_the_whole() -> None:
    whole = torch.arange(24).view(12, 2)
    for count in (1, 2, 3, 4, 6, 12):
        parts = [BatchShard(index, count).rows(whole) for index in range(count)]
        assert torch.equal(torch.cat(parts), whole) and {len(part) for part in parts} == {12 // count}
    assert torch.equal(WHOLE.rows(whole), whole)
