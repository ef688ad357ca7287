"""Drawn ultrasound: layered breast tissue, lesions with their acoustic effects, and speckle.

All levels are echo strengths in decibels below the brightest reflector; places are fractions of the image, x across
(0 to 1, left to right) and z in depth (0 at the probe). An image is made as a scanner makes one: scatterers of random
phase, weighted with the tissue's echo strength, are blurred by the point spread of the pulse; the magnitude of the sum
is what is seen, on a logarithmic scale. Its statistics are those of fully developed speckle, a Rayleigh distribution
(Wagner, Smith, Sandrik, Lopez, "Statistics of speckle in ultrasound B-scans", IEEE Trans. Sonics Ultrasonics 30, 1983).
The signs of the lesions follow the usual description of breast ultrasound (Stavros et al., "Solid breast nodules",
Radiology 196, 1995): benign ones are oval, wider than tall and smooth; malignant ones irregular, spiculated,
often taller than wide, often with a shadow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

CLASSES = ("benign", "malignant", "normal")
FINDINGS = ("calcification", "cyst", "mass", "shadow")
_LOOKS = 2  # views from different angles that the scanner averages, which softens the speckle


@dataclass
class Scene:
    """An image while it is drawn.

    Attributes:
        size: pixels on each side.
        rng: the source of every choice.
        x, z: ``[H, W]`` places of the pixels.
        level: ``[H, W]`` echo strength in dB.
        loss: ``[H, W]`` dB that the pulse has lost, or gained over its surroundings, on its way here.
        regions: ``[H, W]`` bool by finding: where it is.
    """

    size: int
    rng: np.random.Generator
    x: np.ndarray = field(init=False)
    z: np.ndarray = field(init=False)
    level: np.ndarray = field(init=False)
    loss: np.ndarray = field(init=False)
    regions: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = ((np.arange(self.size) + 0.5) / self.size).astype(np.float32)
        self.z, self.x = np.meshgrid(steps, steps, indexing="ij")
        self.level = np.zeros_like(self.x)
        self.loss = np.zeros_like(self.x)

    def between(self, low: float, high: float) -> float:
        """A uniform draw."""
        return float(self.rng.uniform(low, high))

    def chance(self, p: float) -> bool:
        """True with probability ``p``."""
        return bool(self.rng.random() < p)

    def smooth_noise(self, scale_z: float, scale_x: float) -> np.ndarray:
        """``[H, W]`` noise of variance 1, smooth over the given fractions of the image; it repeats at the edges."""
        spectrum = np.fft.rfft2(self.noise())
        down, across = np.fft.fftfreq(self.size) * self.size, np.fft.rfftfreq(self.size) * self.size
        spectrum *= np.outer(_gaussian_spectrum(down, scale_z), _gaussian_spectrum(across, scale_x))
        spectrum[0, 0] = 0
        smooth = np.fft.irfft2(spectrum, s=(self.size, self.size))
        return smooth / smooth.std()

    def noise(self) -> np.ndarray:
        """``[H, W]`` float32 white noise of variance 1."""
        return self.rng.standard_normal((self.size, self.size), np.float32)

    def blend(self, weight: np.ndarray, level: np.ndarray | float) -> None:
        """Move the echo strength towards ``level`` where ``weight`` (0 to 1) says so."""
        self.level += weight * (level - self.level)

    def mark(self, finding: str, region: np.ndarray) -> None:
        """Add to the region of a finding."""
        self.regions[finding] = self.regions.get(finding, np.zeros(region.shape, bool)) | region


def draw_class(name: str, size: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One image of a class of :data:`CLASSES`: ``[H, W]`` uint8, and the region of its lesion by class name."""
    scene = Scene(size, rng)
    _tissue(scene)
    _bystanders(scene, lesion=name != "normal")
    if name == "benign":
        _benign(scene)
    elif name == "malignant":
        _malignant(scene)
    return _scan(scene), scene.regions


def draw_findings(
    findings: frozenset[str], size: int, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One image with any of :data:`FINDINGS`: ``[H, W]`` uint8, and the region of each finding by its name."""
    scene = Scene(size, rng)
    _tissue(scene)
    left, right = (0.18, 0.42), (0.58, 0.82)
    first, second = (left, right) if scene.chance(0.5) else (right, left)  # mass and cyst do not overlap
    if "mass" in findings:
        _mass(scene, first)
    if "cyst" in findings:
        _cyst(scene, second)
    if "calcification" in findings:
        _calcifications(scene, scene.between(0.15, 0.85), scene.between(0.25, 0.7), 0.09, 12, "calcification")
    if "shadow" in findings:
        scene.mark("shadow", _shadow_column(scene, strong=True))
    return _scan(scene), scene.regions


# ---------------------------------------------------------------- tissue


def _tissue(scene: Scene) -> None:
    """Skin, fat, gland, fat, muscle and the chest wall, with wavy borders."""
    fat = scene.between(0.14, 0.34)
    gland = fat + scene.between(0.22, 0.42)
    deep = gland + scene.between(0.03, 0.12)
    borders = [scene.between(0.025, 0.05), fat, gland, deep, deep + scene.between(0.12, 0.3)]
    levels = [-8.0, -21.0, -11.0, -21.0, -18.0, -30.0]
    scene.level += levels[0] + scene.between(-2, 2)
    for border, level in zip(borders, levels[1:], strict=True):
        wave = 0.02 * _curve(scene, 0.12) + scene.between(-0.12, 0.12) * (scene.x[0] - 0.5)
        wave *= border > 0.06
        edge = (scene.z - border - wave[None, :]) / 0.012
        scene.blend(_step(edge), level + scene.between(-3, 3))
    scene.level += 2.0 * scene.smooth_noise(0.05, 0.08) + 1.6 * scene.smooth_noise(0.015, 0.035)
    fibres = scene.smooth_noise(0.008, 0.25)  # muscle is striped along the skin
    scene.level += 3.0 * fibres * _step((scene.z - deep) / 0.03)


def _bystanders(scene: Scene, lesion: bool) -> None:
    """What every breast shows and what a lesion is mistaken for: fat lobules, ligaments, shadows of ligaments."""
    for _ in range(int(scene.rng.integers(1 if lesion else 2, 4 if lesion else 6))):
        _fat_lobule(scene)
    for _ in range(int(scene.rng.integers(2, 6))):
        _ligament(scene)
    if scene.chance(0.35):
        _shadow_column(scene, strong=False)
    if scene.chance(0.35):
        _column(scene, scene.between(0.1, 0.9), scene.between(0.05, 0.16), scene.between(0.1, 0.5), scene.between(1, 6))


def _fat_lobule(scene: Scene) -> None:
    """A lobule of fat between septa: dark, but with a soft border, and without any effect below."""
    width = scene.between(0.07, 0.24)
    height = width * scene.between(0.35, 0.9)
    r, _ = _polar(scene, scene.between(0.05, 0.95), scene.between(0.12, 0.75), width, height, scene.between(-0.6, 0.6))
    r = r * (1 + 0.12 * scene.smooth_noise(0.08, 0.08))
    level = scene.between(-26, -17) + 2.0 * scene.smooth_noise(0.01, 0.06)  # streaks of septa run through it
    scene.blend(scene.between(0.5, 0.95) * _step((1 - r) / 0.18), level)
    wall = np.exp(-(((r - 1.05) / 0.07) ** 2)) * (0.5 + 0.5 * np.tanh(scene.smooth_noise(0.1, 0.1)))
    scene.level += scene.between(2, 7) * wall


def _ligament(scene: Scene) -> None:
    """A thin bright curve, slanted or along the skin."""
    start, slope = scene.between(0.05, 0.7), scene.between(-0.5, 0.5)
    path = start + slope * (scene.x[0] - scene.between(0, 1)) + 0.03 * _curve(scene, 0.1)
    ends = np.exp(-(((scene.x[0] - scene.between(0, 1)) / scene.between(0.1, 0.3)) ** 2))
    width = scene.between(0.006, 0.014)
    scene.level += scene.between(5, 12) * ends[None, :] * np.exp(-(((scene.z - path[None, :]) / width) ** 2))


def _shadow_column(scene: Scene, strong: bool) -> np.ndarray:
    """A shadow below a bright cap, or straight from the skin; where it lies (bool)."""
    place, width = scene.between(0.1, 0.9), scene.between(0.03, 0.1) * (1.2 if strong else 1.0)
    top = scene.between(0.15, 0.5) if strong else scene.between(0.02, 0.6)
    shade = _column(scene, place, width, top, -scene.between(12, 20) if strong else -scene.between(3, 10))
    if strong or scene.chance(0.5):
        cap = np.exp(-(((scene.x - place) / width) ** 2) - ((scene.z - top) / 0.012) ** 2)
        scene.level += scene.between(6, 12) * cap
    return shade > 0.5


def _column(scene: Scene, place: float, width: float, top: float, gain: float) -> np.ndarray:
    """Brighten (or darken, by a negative ``gain`` in dB) everything below a place; the weights used."""
    across = np.exp(-(((scene.x[0] - place) / width) ** 4))
    weight = _step((scene.z[:, :1] - top - 0.03) / 0.03) * across
    scene.loss -= gain * weight
    return weight


# ---------------------------------------------------------------- lesions


def _benign(scene: Scene) -> None:
    """Oval, smooth or with a few lobes, thin capsule, even inside; mostly brighter below, with shadows at its edges."""
    width = scene.between(0.1, 0.23)
    height = width / scene.between(1.35, 2.3)
    cx, cz = _place(scene, width, height)
    r, angle = _polar(scene, cx, cz, width, height, scene.between(-0.3, 0.3))
    lobes = int(scene.rng.integers(2, 5))
    r = r / (1 + scene.between(0, 0.07) * np.cos(lobes * angle + scene.between(0, 6.3)))
    inside = _step((1 - r) / 0.05)
    scene.blend(inside, scene.between(-34, -24) + 0.8 * scene.smooth_noise(0.03, 0.03))
    scene.level += scene.between(2, 7) * np.exp(-(((r - 1.06) / 0.05) ** 2))
    _through(scene, inside, scene.between(-2, 8))
    if scene.chance(0.5):
        for side in (-1, 1):
            _column(scene, cx + side * width, 0.018, cz, -scene.between(2, 6))
    scene.mark("benign", r <= 1)


def _malignant(scene: Scene) -> None:
    """Irregular, with spicules and a bright halo, uneven inside, as tall as wide or taller; mostly darker below."""
    width = scene.between(0.08, 0.17)
    height = width * scene.between(0.9, 1.45)
    cx, cz = _place(scene, width, height)
    r, angle = _polar(scene, cx, cz, width, height, scene.between(-0.5, 0.5))
    outline = _ragged(scene, angle)
    inside = _step((outline - r) / 0.10)
    halo = np.exp(-(((r - outline - 0.22) / 0.2) ** 2))
    scene.level += scene.between(1, 6) * halo
    scene.blend(inside, scene.between(-34, -24) + 2.5 * scene.smooth_noise(0.025, 0.025))
    _through(scene, inside, -scene.between(-2, 13))
    if scene.chance(0.4):
        _calcifications(scene, cx, cz, 0.6 * width, 8, "")
    scene.mark("malignant", r <= outline)


def _ragged(scene: Scene, angle: np.ndarray) -> np.ndarray:
    """The radius of an irregular outline by angle: a few uneven lobes, and thin spicules."""
    turn = np.linspace(-np.pi, np.pi, 721)
    radius = np.ones_like(turn)
    for k in range(2, 7):
        radius += scene.between(0.03, 0.13) * np.cos(k * turn + scene.between(0, 6.3))
    for _ in range(int(scene.rng.integers(6, 14))):
        away = np.pi - np.abs(np.pi - np.abs(turn - scene.between(-np.pi, np.pi)))
        radius += scene.between(0.2, 0.75) * np.exp(-away / scene.between(0.05, 0.13))
    return np.interp(angle, turn, radius).astype(np.float32)


def _mass(scene: Scene, across: tuple[float, float]) -> None:
    """A solid mass of any outline, for the multi-label mode: grey inside, no effect below."""
    width = scene.between(0.09, 0.17)
    height = width * scene.between(0.5, 1.2)
    r, angle = _polar(scene, scene.between(*across), scene.between(0.3, 0.6), width, height, scene.between(-0.4, 0.4))
    outline = _ragged(scene, angle) if scene.chance(0.5) else np.ones_like(r)
    scene.blend(_step((outline - r) / 0.08), scene.between(-31, -25) + 2.0 * scene.smooth_noise(0.025, 0.025))
    scene.mark("mass", r <= outline)


def _cyst(scene: Scene, across: tuple[float, float]) -> None:
    """Fluid: black, round, sharp, with a bright band below."""
    width = scene.between(0.07, 0.14)
    height = width * scene.between(0.75, 1.0)
    r, _ = _polar(scene, scene.between(*across), scene.between(0.28, 0.55), width, height, scene.between(-0.3, 0.3))
    inside = _step((1 - r) / 0.04)
    scene.blend(inside, -60.0)
    scene.level += 5 * np.exp(-(((r - 1.05) / 0.05) ** 2))
    _through(scene, inside, scene.between(5, 9))
    scene.mark("cyst", r <= 1)


def _calcifications(scene: Scene, cx: float, cz: float, spread: float, most: int, finding: str) -> None:
    """A cluster of bright points."""
    for _ in range(int(scene.rng.integers(max(3, most // 2), most + 1))):
        x, z = cx + spread * scene.rng.standard_normal() / 1.5, cz + spread * scene.rng.standard_normal() / 1.5
        square = ((scene.x - x) / 0.009) ** 2 + ((scene.z - z) / 0.009) ** 2
        scene.blend(np.exp(-square), scene.between(4, 9))
        if finding:
            scene.mark(finding, square <= 6)


def _through(scene: Scene, inside: np.ndarray, gain: float) -> None:
    """What a lesion does to all below it: ``gain`` dB where it is thickest, built up within it, fading slowly."""
    path = np.cumsum(inside, axis=0)
    path = gaussian_filter1d(path / max(float(path.max()), 1e-9), 0.012 * scene.size, axis=1)
    below = np.clip(scene.z - (scene.z * (inside > 0.5)).max(axis=0, keepdims=True), 0, 1)
    scene.loss -= gain * path * np.exp(-below / 0.6)


def _place(scene: Scene, width: float, height: float) -> tuple[float, float]:
    """Where a lesion's centre lies: anywhere in the image that holds most of it, below the skin."""
    margin = 0.8 * width
    return scene.between(margin, 1 - margin), scene.between(0.1 + height, 0.82 - height)


# ---------------------------------------------------------------- the scanner


def _scan(scene: Scene) -> np.ndarray:
    """Echo strength to what the screen shows: speckle, gain, logarithm, 8 bits."""
    scale = scene.size / 128
    amplitude = 10 ** (scene.level / 20)
    blur = (scene.between(0.6, 0.85) * scale, scene.between(1.1, 1.7) * scale)
    decibels = 10 * np.log10(speckle_power(scene, amplitude, blur, _LOOKS) + 1e-9)
    depth_gain = scene.between(-6, 6) * (scene.z - 0.5) + 2.0 * scene.smooth_noise(0.3, 0.3)
    side_gain = scene.between(-4, 4) * (scene.x - 0.5)
    shown = decibels - scene.loss + depth_gain + side_gain + scene.between(-4, 4)
    dynamic_range = scene.between(46, 58)
    return np.round(255 * np.clip(1 + (shown - 7) / dynamic_range, 0, 1)).astype(np.uint8)


def speckle_power(scene: Scene, amplitude: np.ndarray, blur: tuple[float, float], looks: int) -> np.ndarray:
    """``[H, W]`` echo power: white scatterers of the given amplitude, blurred by the pulse, averaged over ``looks``.

    ``blur`` is the standard deviation in pixels, in depth and across. An amplitude of 1 gives a mean power of 1.
    """
    power = np.zeros_like(amplitude)
    for _ in range(2 * looks):  # the real and the imaginary part of each look
        power += gaussian_filter(amplitude * scene.noise(), blur, mode="reflect") ** 2
    left = 1 / (4 * np.pi * blur[0] * blur[1])  # what blurring leaves of the power of white noise
    return power / (2 * looks * left)


def _curve(scene: Scene, scale: float) -> np.ndarray:
    """``[W]`` a smooth random curve of variance about 1."""
    noise = scene.rng.standard_normal(scene.size, np.float32)
    noise = gaussian_filter1d(noise, scale * scene.size, mode="reflect")
    return noise / max(float(noise.std()), 1e-9)


def _gaussian_spectrum(cycles: np.ndarray, scale: float) -> np.ndarray:
    """The Fourier transform of a Gaussian of the given width, at whole cycles per image."""
    return np.exp(-2 * (np.pi * scale * cycles) ** 2).astype(np.float32)


def _step(value: np.ndarray) -> np.ndarray:
    """A smooth step from 0 to 1 at 0, about 2 wide."""
    return 0.5 * (1 + np.tanh(value))


def _polar(
    scene: Scene, cx: float, cz: float, width: float, height: float, tilt: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distance from a centre in units of a tilted ellipse's half axes, and the angle, each ``[H, W]``."""
    dx, dz = scene.x - cx, scene.z - cz
    u = (dx * np.cos(tilt) + dz * np.sin(tilt)) / width
    v = (dz * np.cos(tilt) - dx * np.sin(tilt)) / height
    return np.hypot(u, v), np.arctan2(v, u)
