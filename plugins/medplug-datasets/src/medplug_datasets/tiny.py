"""Small made-up trees in the layout of the published sets, with their names: for examples and tests, without data."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from medplug_datasets.files import some


def make(name: str, folder: str | Path) -> str:
    """Write a made-up copy of a set into a folder; what to give to its reader comes back.

    The images are a few pixels of noise, each another one. The names, folders and tables are like the published ones.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source = make("hust19_ct", folder)
    ...     sorted(path.name for path in (Path(source) / "pCT").iterdir())
    ['pCT1.jpg', 'pCT2.jpg']

    Raises:
        ValueError: there is no such set.
    """
    if name not in MADE:
        raise ValueError(f"no made-up copy of {name!r}; there are {some(MADE, 20)}")
    return MADE[name](Path(folder))


def picture(path: Path, number: int = 0, mode: str = "RGB", size: int = 8) -> None:
    """One image of noise, which ``number`` decides."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


def pictures(folder: Path, names: Iterable[str], mode: str = "RGB") -> None:
    """Images of noise, each another one."""
    for name in names:
        picture(folder / name, sum(ord(letter) * (i + 1) for i, letter in enumerate(name)), mode)


def _busi(folder: Path) -> str:
    files = {"benign": (1, 2, 100), "malignant": (1, 53), "normal": (1, 105)}
    for name, numbers in files.items():
        pictures(folder / name, [f"{name} ({n}).png" for n in numbers])
        pictures(folder / name, [f"{name} ({n})_mask.png" for n in numbers], mode="L")
    pictures(folder, ["benign/benign (100)_mask_1.png", "malignant/malignant (53)_mask_1.png"], mode="L")
    return str(folder)


def _brain_mri(folder: Path) -> str:
    for part, short, numbers in (("Training", "Tr", (10, 11)), ("Testing", "Te", (10,))):
        for name in ("glioma", "meningioma", "notumor", "pituitary"):
            mode = "L" if name == "glioma" else "RGB"
            pictures(folder / part / name, [f"{short}-{name[:2]}_{n:04d}.jpg" for n in numbers], mode)
    return str(folder)


def _chest_xray(folder: Path) -> str:
    names = {
        "train/NORMAL": ["IM-0115-0001.jpeg", "IM-0117-0001.jpeg", "NORMAL2-IM-0385-0001.jpeg"],
        "train/PNEUMONIA": ["person1_bacteria_1.jpeg", "person1_bacteria_2.jpeg", "person2_virus_7.jpeg"],
        "val/NORMAL": ["NORMAL2-IM-1427-0001.jpeg"],
        "val/PNEUMONIA": ["person1946_bacteria_4874.jpeg"],
        "test/NORMAL": ["IM-0001-0001.jpeg", "NORMAL2-IM-0007-0001.jpeg"],
        "test/PNEUMONIA": ["person1_virus_6.jpeg", "person78_bacteria_378.jpeg"],
    }
    for where, files in names.items():
        pictures(folder / "chest_xray" / where, files, mode="L")
    return str(folder / "chest_xray")


def _hust19_ct(folder: Path) -> str:
    for name in ("NiCT", "nCT", "pCT"):
        pictures(folder / "Original CT Scans" / name, [f"{name}{n}.jpg" for n in (1, 2)], mode="L")
    return str(folder / "Original CT Scans")


def _hyperkvasir(folder: Path) -> str:
    tracts = {
        "lower-gi-tract": {"cecum": 4, "ileum": 3, "retroflex-rectum": 4},
        "upper-gi-tract": {"pylorus": 4, "retroflex-stomach": 4, "z-line": 4},
    }
    lines = ["file-name;class-name;split-index"]
    for tract, classes in tracts.items():
        for name, n in classes.items():
            files = [f"{ord(name[0]):08x}-{len(name):04x}-4e7a-9d1b-{i:012x}.jpg" for i in range(n)]
            pictures(folder / "labeled-images" / tract / "anatomical-landmarks" / name, files)
            lines += [f"{file};{name};{i % 2}" for i, file in enumerate(files)]
    polyp = "0a1b2c3d-0000-4000-8000-000000000001.jpg"
    pictures(folder / "labeled-images" / "lower-gi-tract" / "pathological-findings" / "polyps", [polyp])
    lines.append(f"{polyp};polyps;0")
    (folder / "2_fold_split.csv").write_text("\n".join(lines) + "\n")
    return str(folder)


def _idc(folder: Path) -> str:
    for patient, corners in {
        "10253": ((1001, 1001), (1001, 1051)),
        "8863": ((51, 1251),),
        "9135": ((401, 551),),
    }.items():
        for label in (0, 1):
            names = [f"{patient}_idx5_x{x}_y{y + 500 * label}_class{label}.png" for x, y in corners]
            pictures(folder / "IDC_regular_ps50_idx5" / patient / str(label), names)
    return str(folder)


ISIC_COLUMNS = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
_ISIC = (
    ("ISIC_0000000_downsampled", "NV", "55.0,anterior torso,,female"),
    ("ISIC_0000002", "MEL", "30.0,upper extremity,MSK4_0010967,male"),
    ("ISIC_0024306", "NV", "45.0,anterior torso,HAM_0000550,male"),
    ("ISIC_0024307", "NV", "50.0,lower extremity,HAM_0000550,male"),
    ("ISIC_0024310", "MEL", "60.0,posterior torso,HAM_0003521,male"),
    ("ISIC_0053453", "BKL", "85.0,head/neck,BCN_0003884,female"),
    ("ISIC_0053454", "BKL", ",,BCN_0003884,"),
    ("ISIC_0073254", "SCC", "50.0,head/neck,BCN_0001728,female"),
)


def _isic2019(folder: Path) -> str:
    truth = [",".join(("image", *ISIC_COLUMNS))]
    metadata = ["image,age_approx,anatom_site_general,lesion_id,sex"]
    for name, label, facts in _ISIC:
        picture(folder / "ISIC_2019_Training_Input" / f"{name}.jpg", len(truth))
        truth.append(",".join((name, *("1.0" if c == label else "0.0" for c in ISIC_COLUMNS))))
        metadata.append(f"{name},{facts}")
    (folder / "ISIC_2019_Training_GroundTruth.csv").write_text("\n".join(truth) + "\n")
    (folder / "ISIC_2019_Training_Metadata.csv").write_text("\n".join(metadata) + "\n")
    return str(folder)


def _rfmid(folder: Path) -> str:
    parts = (("Training_Set", "Training", "Training"), ("Evaluation_Set", "Validation", "Validation"),
             ("Test_Set", "Test", "Testing"))  # fmt: skip
    for home, images, word in parts:
        lines = ["ID,Disease_Risk,DR,ARMD,MH,DN,MYA"]
        for number, label in enumerate(("", "DR", "DR MH", "ARMD", "DN"), start=1):
            cells = ["1" if name in label.split() else "0" for name in ("DR", "ARMD", "MH", "DN", "MYA")]
            lines.append(",".join((str(number), str(int(bool(label))), *cells)))
            picture(folder / home / home / images / f"{number}.png", number + len(word) * 100)
        (folder / home / home / f"RFMiD_{word}_Labels.csv").write_text("\n".join(lines) + "\n")
    return str(folder)


def write_npz(path: Path, arrays: dict[str, np.ndarray], compressed: bool = True) -> None:
    """An ``.npz`` file: arrays by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def medmnist_arrays(classes: int, counts: tuple[int, int, int] = (6, 3, 3), size: int = 28, channels: int = 1,
                    multilabel: bool = False) -> dict[str, np.ndarray]:  # fmt: skip
    """The six arrays of a MedMNIST file, of noise: images ``[N, S, S]`` or ``[N, S, S, 3]`` uint8, labels ``[N, 1]``."""
    rng = np.random.default_rng(size + classes)
    arrays = {}
    for part, n in zip(("train", "val", "test"), counts, strict=True):
        shape = (n, size, size) if channels == 1 else (n, size, size, channels)
        arrays[f"{part}_images"] = rng.integers(0, 256, shape, np.uint8)
        labels = np.arange(n)[:, None] % classes
        arrays[f"{part}_labels"] = (np.arange(classes) == labels if multilabel else labels).astype(np.uint8)
    return arrays


def _medmnist(folder: Path) -> str:
    write_npz(folder / "bloodmnist.npz", medmnist_arrays(8, (16, 8, 8), channels=3))
    return str(folder / "bloodmnist.npz")


MADE: dict[str, Callable[[Path], str]] = {
    "busi": _busi,
    "brain_mri": _brain_mri,
    "chest_xray": _chest_xray,
    "hust19_ct": _hust19_ct,
    "hyperkvasir_lower": _hyperkvasir,
    "hyperkvasir_upper": _hyperkvasir,
    "idc": _idc,
    "isic2019": _isic2019,
    "rfmid": _rfmid,
    "medmnist": _medmnist,
}
