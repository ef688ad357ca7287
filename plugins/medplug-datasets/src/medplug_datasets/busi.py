"""Reader ``busi``: breast ultrasound with masks beside the images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from medplug.plugins import About, Index, component, find_mask, load_mask, param
from medplug_datasets.files import count
from medplug_datasets.layout import Layout, Row, collect, find_home, is_whole
from medplug_datasets.published import Card, ClassFolders

_NAME = re.compile(r"(benign|malignant|normal) \((\d+)\)(_mask(?:_\d+)?)?\.[A-Za-z]+")
_IMAGES = {"benign": 437, "malignant": 210, "normal": 133}
_WITH_MASKS = {"benign": 891, "malignant": 421, "normal": 266}


@component
class Busi(ClassFolders):
    """BUSI: 780 breast ultrasound images, benign, malignant or normal: ``busi:FOLDER``.

    The folder holds ``benign/``, ``malignant/`` and ``normal/``. Beside each image ``benign (1).png`` lies its mask
    ``benign (1)_mask.png``, where there are several lesions also ``_mask_1.png`` and ``_mask_2.png``: 798 in all.
    Masks are no images and are skipped; the masks of normal breasts are plain black, so that a network that is
    given them learns to tell masks from images. ``masks="keep"`` takes them in, as the published experiment did.

    Nobody knows which images are of one woman: 600 women gave 780 images, and no ids are published.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = Busi().index(make("busi", folder))
        >>> index.classes, len(index), len(index.skipped)
        (('benign', 'malignant', 'normal'), 7, 9)
        >>> index.skipped[0].name, index.skipped[0].reason
        ('benign/benign (1)_mask.png', 'a mask')
    """

    masks: Literal["skip", "keep"] = param("the masks beside the images: skip or keep them", default="skip")
    examples = ({"masks": "keep"}, {"names": "published", "pixels": "pillow"})

    layouts = (Layout(_IMAGES, _NAME),)
    through = ("Dataset_BUSI_with_GT",)
    card = Card(
        about=About(
            title="BUSI, Dataset of breast ultrasound images",
            licence="CC0 as its Kaggle copy says",
            citation="Al-Dhabyani, Gomaa, Khaled, Fahmy, Data in Brief 28 (2020) 104863",
            url="https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
        ),
        classes={"benign": "benign", "malignant": "malignant", "normal": "normal"},
        expected="the folders benign, malignant and normal, perhaps within Dataset_BUSI_with_GT, with files like "
        "'benign (1).png' and 'benign (1)_mask.png'",
    )

    def recognises(self, root: Path) -> bool:
        """All 780 images with their 798 masks."""
        home = find_home(root, (Layout(_WITH_MASKS, _NAME),), self.through)
        return home is not None and is_whole(home)

    def index(self, source: str) -> Index:
        """The images of the three folders, in the order of their names.

        Raises:
            DataError: the folders are not there, or hold no images.
        """
        home = self.home(source)
        keep = self.masks == "keep"
        places = [(name, name, "") for name in home.folders]
        rows, skipped = collect(home, places, lambda row: "a mask" if is_mask(row) and not keep else "")
        rows = self.ordered(home, rows, skipped)
        masks = sum(s.reason == "a mask" for s in skipped)
        notes = self.compare_folders(home, rows, _WITH_MASKS if keep else _IMAGES)
        if masks:
            notes.append(f"{count(masks, 'mask')} skipped by their names; reader.masks=keep takes them in")
        taken = sum(map(is_mask, rows))
        if taken:
            notes.append(f"{taken} of {len(rows)} files are masks, taken for images as the published experiment did")
        strangers = sum(_NAME.fullmatch(row.file) is None for row in rows)
        if strangers:
            notes.append(f"{count(strangers, 'file')} not named like those of the set, 'benign (1).png'")
        notes.append("no ids of patients are published: images of one woman may lie in several parts of a split")
        return self.to_index(home.root, rows, skipped, notes)

    def mask(self, uri: str) -> np.ndarray | None:
        """Where the lesions are, ``[H, W]`` bool: all masks beside an image together; None where it has none.

        Raises:
            ImageError: a mask cannot be read.
        """
        place = Path(uri)
        first = find_mask(place.parent, f"{place.stem}_mask{place.suffix}")
        if first is None:
            return None
        found, number = load_mask(first), 1
        while another := find_mask(place.parent, f"{place.stem}_mask_{number}{place.suffix}"):
            found, number = found | load_mask(another), number + 1
        return found


def is_mask(row: Row) -> bool:
    """Whether the name says so: it ends in ``_mask``, or in ``_mask_`` and a number."""
    return re.search(r"_mask(_\d+)?$", row.file.rpartition(".")[0]) is not None
