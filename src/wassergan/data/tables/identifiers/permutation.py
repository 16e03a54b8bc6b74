"""Numbers in an order that looks random, each once, without a list of them."""

import hashlib

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**63 - 1  # numbers that are permuted
ROUNDS = 6
_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def key_numbers(*words: object, count: int) -> NDArray[np.uint64]:
    """Numbers that some words decide, (count,)."""
    told = "\x1f".join(map(str, words)).encode()
    return np.frombuffer(hashlib.shake_128(told).digest(8 * count), np.dtype("<u8")).astype(np.uint64)


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each number turned into another that looks random: SplitMix64 (Steele, Lea, Flood 2014), figure 15."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * _MIXERS[0]
    numbers = (numbers ^ (numbers >> np.uint64(27))) * _MIXERS[1]
    return numbers ^ (numbers >> np.uint64(31))


class Permutation:
    """A permutation of 0..size-1 that a key decides: a Feistel network, walked until it is back among the numbers.

    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains", section 4 (cycle walking).

    Args:
        size: 1 to `LARGEST`.
        key: words.
    """

    def __init__(self, size: int, *key: object) -> None:
        assert 1 <= size <= LARGEST
        self._size = np.uint64(size)
        self._half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        self._keys = key_numbers(*key, count=ROUNDS)

    def at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the permutation sends numbers (n,)."""
        numbers = self._once(places.astype(np.uint64))
        while len(outside := np.flatnonzero(numbers >= self._size)):
            numbers[outside] = self._once(numbers[outside])
        return numbers.astype(np.int64)

    def _once(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = numbers >> self._half, numbers & self._mask
        for key in self._keys:
            left, right = right, left ^ (mixed(right + key) & self._mask)
        return (left << self._half) | right
