"""Reader ``phantoms``: labelled ultrasound-like images that are drawn, not read; nothing to download."""

from __future__ import annotations

import re

import numpy as np

from medplug.plugins import DataError, ImageError, Index, component, param
from medplug_standard.readers.phantom_drawing import CLASSES, FINDINGS, draw_class, draw_findings

_URI = re.compile(r"phantoms/([a-z+]+)/(\d{1,9})\?seed=(\d{1,12})&size=(\d{2,4})")
_NONE = "none"
_PREVALENCE = 0.35  # of each finding, in the multi-label mode


@component
class Phantoms:
    """Draws breast-like ultrasound images with known labels and known lesions: ``phantoms:600``.

    The classes are ``normal`` (no lesion, but fat lobules, ligaments and shadows that resemble one), ``benign`` and
    ``malignant``, a third each. With ``multilabel`` any of the findings ``calcification``, ``cyst``, ``mass`` and
    ``shadow`` are drawn together. Image ``i`` does not depend on how many there are. These are drawings for
    demonstrations and tests: nothing learnt from them holds for patients.

    Example:
        >>> reader = Phantoms(size=64)
        >>> index = reader.index("6")
        >>> index.classes, index.samples[0], reader.load(index.uris[0]).shape
        (('benign', 'malignant', 'normal'), 'benign/000000.png', (64, 64, 1))
    """

    images: int = param("how many, unless the argument says so", default=600, ge=3, le=100_000)
    size: int = param("pixels on each side", default=128, ge=32, le=1024)
    multilabel: bool = param("draw any combination of findings instead of one class per image", default=False)
    seed: int = param("another seed draws other images", default=0, ge=0, le=999_999_999)
    examples = ({"multilabel": True, "size": 64},)

    def can_read(self, source: str) -> float:
        """0: phantoms come by name only, ``phantoms:600``."""
        return 0.0

    def index(self, source: str) -> Index:
        """The labels of the images; ``source`` is how many, or empty for ``images``.

        Raises:
            DataError: the argument is not a whole number from 3 to 100,000.
        """
        text = source.strip()
        if text and not (text.isascii() and text.isdecimal() and 3 <= int(text[:9]) <= 100_000):
            raise DataError(f"phantoms:{source}: the argument is how many images to draw, from 3 to 100000")
        return self._findings(int(text or self.images)) if self.multilabel else self._classes(int(text or self.images))

    def load(self, uri: str) -> np.ndarray:
        """Draw one image: ``[size, size, 1]`` uint8, the same for the same ``uri``."""
        return _draw(uri)[0][..., None]

    def mask(self, uri: str, label: str | None = None) -> np.ndarray:
        """Where the lesion is, ``[size, size]`` bool: the truth to hold explanations against.

        Args:
            uri: of the image, as in ``Index.uris``.
            label: one class or finding; None takes all that are drawn. Nothing is marked for what is not there.
        """
        image, regions = _draw(uri)
        chosen = [region for name, region in regions.items() if label in (None, name)]
        return np.logical_or.reduce([np.zeros(image.shape, bool), *chosen])

    def _classes(self, n: int) -> Index:
        rows = [(name, i) for k, name in enumerate(CLASSES) for i in range(k, n, len(CLASSES))]
        return Index(
            samples=tuple(f"{name}/{i:06d}.png" for name, i in rows),
            uris=tuple(self._uri(name, i) for name, i in rows),
            targets=np.eye(len(CLASSES), dtype=np.float32)[[CLASSES.index(name) for name, _ in rows]],
            classes=CLASSES,
            notes=(f"{n} drawn images (seed {self.seed}); nothing learnt from them holds for patients",),
        )

    def _findings(self, n: int) -> Index:
        present = [np.random.default_rng([self.seed, i]).random(len(FINDINGS)) < _PREVALENCE for i in range(n)]
        words = ["+".join(f for f, p in zip(FINDINGS, row, strict=True) if p) or _NONE for row in present]
        return Index(
            samples=tuple(f"findings/{i:06d}.png" for i in range(n)),
            uris=tuple(self._uri(word, i) for i, word in enumerate(words)),
            targets=np.array(present, np.float32),
            classes=FINDINGS,
            task="multilabel",
            notes=(f"{n} drawn images (seed {self.seed}); nothing learnt from them holds for patients",),
        )

    def _uri(self, word: str, i: int) -> str:
        return f"phantoms/{word}/{i:06d}?seed={self.seed}&size={self.size}"


def _draw(uri: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    match = _URI.fullmatch(uri)
    if not match:
        raise ImageError(f"{uri!r} is no phantom; one looks like phantoms/benign/000012?seed=0&size=128")
    word, number, seed, size = match[1], int(match[2]), int(match[3]), int(match[4])
    names = () if word == _NONE else tuple(word.split("+"))
    if not set(names) <= {*FINDINGS, *CLASSES} or (len(names) > 1 and not set(names) <= set(FINDINGS)):
        raise ImageError(
            f"{uri!r}: classes are {', '.join(CLASSES)}; findings {', '.join(FINDINGS)} (joined by +) or none"
        )
    rng = np.random.default_rng([seed, number, 1])
    if names and names[0] in CLASSES:
        return draw_class(names[0], size, rng)
    return draw_findings(frozenset(names), size, rng)
