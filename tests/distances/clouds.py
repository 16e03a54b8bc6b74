"""Pairs of samples of five families, for the tests of transport."""

FAMILIES = ("shifted", "mixture", "uniform", "duplicates", "heavy")


def pair(family, n, m, dim, rng):
    if family == "shifted":
        return rng.normal(size=(n, dim)), rng.normal(size=(m, dim)) + rng.normal(size=dim)
    if family == "mixture":
        near, far = rng.normal(size=(2, 4, dim)) * 3
        return (c[rng.integers(4, size=k)] + 0.3 * rng.normal(size=(k, dim)) for c, k in ((near, n), (near + far, m)))
    if family == "uniform":
        return rng.random((n, dim)), rng.random((m, dim)) * 1.3
    if family == "duplicates":
        pools = rng.normal(size=(2, 50, dim))
        return pools[0][rng.integers(50, size=n)], pools[1][rng.integers(50, size=m)]
    return rng.standard_t(1.5, size=(n, dim)), rng.standard_t(1.5, size=(m, dim)) + 0.5
