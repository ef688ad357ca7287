"""Near-duplicates: images whose grey thumbnails agree, as they are, mirrored or turned.

Two images count as near-duplicates where Pearson's correlation of their 32 x 32 grey thumbnails exceeds a limit under
one of the eight symmetries of the square. Perceptual hashes (dHash, pHash) round such thumbnails to 64 bits and guess;
the 64 lowest frequencies of the cosine transform, from whose signs pHash is made, can do better, because they bound the
correlation: for centred thumbnails ``a`` and ``b`` of length 1, ``|a - b|^2 = 2 - 2 r``, and an orthonormal transform
keeps distances, so that the distance of some coefficients never exceeds ``2 - 2 r``. Mirroring changes only signs of
coefficients and turning swaps rows with columns, so that the sorted absolute values of each pair ``(i, j), (j, i)``
bound the distance under all eight symmetries at once (rearrangement inequality). One matrix product of 64 columns
therefore finds every candidate, and few others; each is then measured exactly.

Where all images share an outline on black or white (the disc of a fundus), that outline alone correlates by more than any
limit. So a pair is believed only if the inside of its pictures agrees too; the others are suspects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_WAVES = 8  # frequencies along each axis
_CELLS = 2**24  # comparisons at a time: 64 MB
_CHUNK = 4096  # pairs that are measured at a time
_MOST = 3_000_000  # candidates; with more of them nearly everything looks alike, and clusters would say nothing
_SLACK = 1e-5  # float32 rounds distances by some 1e-6
_DARK, _WHITE = 12, 243  # beyond these greys in both images lies what surrounds a picture
_INSIDE, _LEAST = 0.97, 64  # correlation of the inside that is believed, and pixels that it needs
_LOOSE, _CROWD = 0.25, 10  # a cluster of more images than these with fewer of its pairs alike is a chain
_SHARE = 0.1  # a cluster beyond this share of all images cannot be placed in a split

SYMMETRIES = (
    "", "mirrored", "upside down", "turned by 180 degrees",
    "transposed", "turned by 90 degrees", "turned by 270 degrees", "transposed and turned by 180 degrees",
)  # fmt: skip
"""What must be done to the second image of a pair to look like the first; empty: nothing."""


@dataclass(frozen=True)
class NearPairs:
    """Pairs of images that look the same.

    Attributes:
        first, second: ``[P]`` int64 rows, ``first < second``, in ascending order.
        correlation: ``[P]`` float64, of the better symmetry where the images do not agree as they are.
        symmetry: ``[P]`` int64, place in :data:`SYMMETRIES`.
        inside: ``[P]`` float64, correlation of what lies within the pictures' outlines; NaN where hardly anything does.
        complete: False where so many candidates were found that the search was given up; then there are no pairs.
    """

    first: np.ndarray
    second: np.ndarray
    correlation: np.ndarray
    symmetry: np.ndarray
    inside: np.ndarray
    complete: bool = True

    def __len__(self) -> int:
        return len(self.first)

    def believed(self) -> np.ndarray:
        """``[P]`` bool: not only the outlines agree.

        True copies in four real sets had 0.98 and more inside, fundi of different eyes that correlate by 0.995 had 0.95
        and less.
        """
        return ~(self.inside < _INSIDE)

    def take(self, chosen: np.ndarray) -> NearPairs:
        """Some of the pairs, by a mask or by their places."""
        a, b, r, how, inside = (self.first, self.second, self.correlation, self.symmetry, self.inside)
        return NearPairs(a[chosen], b[chosen], r[chosen], how[chosen], inside[chosen], self.complete)


def near_pairs(thumbs: np.ndarray, limit: float) -> NearPairs:
    """All pairs whose thumbnails correlate by more than ``limit`` under one of the eight symmetries.

    Args:
        thumbs: ``[N, S, S]`` uint8.
        limit: Pearson's r, 0 to 1.

    Thumbnails of one single grey have no correlation and are in no pair. The result is exact and the same on every
    machine: sums of products of bytes are whole numbers, which float64 holds.
    """
    rows = np.flatnonzero(thumbs.min((1, 2)) < thumbs.max((1, 2))) if len(thumbs) else np.zeros(0, int)
    waves = np.concatenate([np.zeros((0, _WAVES, _WAVES), np.float32), *map(_waves, _pieces(thumbs, rows))])
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0))]
    count = 0
    for first, second in _candidates(_invariants(waves), 2 - 2 * limit + _SLACK):
        count += len(first)
        if count > _MOST:
            return NearPairs(*found[0], complete=False)
        for start in range(0, len(first), _CHUNK):
            part = slice(start, start + _CHUNK)
            found.append(_measured(thumbs, rows, waves, first[part], second[part], limit))
    a, b, r, how, inside = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return NearPairs(a, b, r, how, inside).take(np.lexsort((b, a)))


def clusters(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``[count]`` int64: rows that pairs join, directly or in a chain, get the same number: that of the first of them."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(first), bool), (first, second)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    _, start, place = np.unique(label, return_index=True, return_inverse=True)
    return start[place].astype(np.int64)


def swollen(cluster: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Numbers of clusters that cannot be believed: long chains of few pairs, or a good part of all images.

    In clusters of true copies most images resemble most others. Where images of one kind (radiographs, fundi) merely
    look alike, each resembles a few and the chain runs through the whole data set: on real sets at lowered limits the
    shares of alike pairs were 0.33 and more in the first case, 0.14 and less in the second.

    Args:
        cluster: ``[N]``, of :func:`clusters`.
        first: ``[P]``, first rows of the pairs.
    """
    names, sizes = np.unique(cluster, return_counts=True)
    pairs = np.zeros(len(cluster), np.int64)
    np.add.at(pairs, cluster[first], 1)
    density = pairs[names] / np.maximum(sizes * (sizes - 1) / 2, 1)
    large = sizes > _CROWD
    return names[large & ((density < _LOOSE) | (sizes > _SHARE * len(cluster)))]


def _pieces(thumbs: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _CHUNK):
        yield thumbs[rows[start : start + _CHUNK]]


def _waves(thumbs: np.ndarray) -> np.ndarray:
    """The lowest frequencies of centred thumbnails of length 1: ``[N, S, S]`` to ``[N, 8, 8]`` float32."""
    edge = thumbs.shape[-1]
    grey = thumbs.astype(np.float32)
    grey -= grey.mean((1, 2), keepdims=True)
    grey /= np.sqrt((grey**2).sum((1, 2), keepdims=True))
    wave, place = np.arange(_WAVES)[:, None], np.arange(edge)
    basis = np.sqrt(2 / edge) * np.cos(np.pi * wave * (2 * place + 1) / (2 * edge))
    basis[0] /= np.sqrt(2)
    basis = basis.astype(np.float32)
    return basis @ grey @ basis.T


def _invariants(waves: np.ndarray) -> np.ndarray:
    """``[N, 8, 8]`` to ``[N, 64]``: what no symmetry changes, nowhere further apart than the coefficients are."""
    size = np.abs(waves)
    turned = size.transpose(0, 2, 1)
    upper, lower = np.triu_indices(waves.shape[1]), np.triu_indices(waves.shape[1], 1)
    larger, smaller = np.maximum(size, turned), np.minimum(size, turned)
    return np.concatenate([larger[:, *upper], smaller[:, *lower]], axis=1)


def _candidates(points: np.ndarray, limit: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows, first < second, whose squared distance is below the limit, block by block."""
    squares = (points**2).sum(1)
    ones = np.ones_like(squares)
    left = np.column_stack([2 * points, -squares, -ones])  # left @ right.T is minus the squared distance
    right = np.column_stack([points, ones, squares])
    block = max(_CELLS // max(len(points), 1), 1)
    for start in range(0, len(points), block):
        closeness = left[start : start + block] @ right[start:].T
        hits = np.flatnonzero(closeness.ravel() > -limit)
        first, second = np.divmod(hits, closeness.shape[1])
        later = second > first
        yield first[later] + start, second[later] + start


def _measured(
    thumbs: np.ndarray, rows: np.ndarray, waves: np.ndarray, first: np.ndarray, second: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(first, second, correlation, symmetry, inside) of the candidates that pass; rows of ``thumbs``."""
    best = np.full(len(first), -1.0)
    how = np.zeros(len(first), np.int64)
    for number in range(len(SYMMETRIES)):
        near = ((waves[first] - _transformed(waves[second], number, signs=True)) ** 2).sum((1, 2))
        maybe = np.flatnonzero(near < 2 - 2 * limit + _SLACK)
        if not len(maybe):
            continue
        a, b = rows[first[maybe]], rows[second[maybe]]
        r = _correlation(thumbs[a], _transformed(thumbs[b], number))
        better = (r > best[maybe]) & ~((how[maybe] == 0) & (best[maybe] > limit))
        best[maybe[better]], how[maybe[better]] = r[better], number
    passed = best > limit
    a, b, how = rows[first[passed]], rows[second[passed]], how[passed]
    inside = np.zeros(len(a))
    for number in np.unique(how):
        those = how == number
        inside[those] = _inside(thumbs[a[those]], _transformed(thumbs[b[those]], int(number)))
    return a, b, best[passed], how, inside


def _transformed(images: np.ndarray, number: int, signs: bool = False) -> np.ndarray:
    """Images ``[N, S, S]`` under a symmetry; with ``signs`` their cosine coefficients, whose odd waves change sign."""
    turned = images.transpose(0, 2, 1) if number >= 4 else images
    across, down = number in (1, 3, 5, 7), number in (2, 3, 6, 7)
    if signs:
        odd = np.where(np.arange(images.shape[1]) % 2, -1, 1).astype(images.dtype)
        turned = turned * odd if across else turned
        return turned * odd[:, None] if down else turned
    turned = turned[:, :, ::-1] if across else turned
    return turned[:, ::-1] if down else turned


def _correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Pearson's r of uint8 images ``[P, S, S]``, pair by pair, over the pixels with weight 1; NaN where one is flat."""
    a, b = (images.reshape(len(images), -1).astype(np.float64) for images in (a, b))
    n = np.full(len(a), float(a.shape[1]))
    if weight is not None:
        weight = weight.reshape(len(a), -1)
        a, b, n = a * weight, b * weight, weight.sum(1, dtype=np.float64)
    of_a, of_b = a.sum(1), b.sum(1)
    product = n * np.einsum("pi,pi->p", a, b) - of_a * of_b
    spread = (n * np.einsum("pi,pi->p", a, a) - of_a**2) * (n * np.einsum("pi,pi->p", b, b) - of_b**2)
    return product / np.sqrt(np.where(spread > 0, spread, np.nan))


def _inside(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's r over pixels whose whole neighbourhood is neither black in both images nor white in both."""
    around = ((a < _DARK) & (b < _DARK)) | ((a > _WHITE) & (b > _WHITE))
    wide = np.pad(around, ((0, 0), (1, 1), (1, 1)), mode="edge")
    edge = a.shape[-1]
    touched = np.zeros_like(around)
    for down in range(3):
        for across in range(3):
            touched |= wide[:, down : down + edge, across : across + edge]
    enough = (~touched).sum((1, 2)) >= _LEAST
    return np.where(enough, _correlation(a, b, ~touched), np.nan)
