"""Reader ``brain_mri``: Nickparvar's collection of brain MRI slices with three tumours and none."""

from __future__ import annotations

import re
from typing import Literal

from medplug.plugins import About, Index, component, param
from medplug_datasets.layout import Layout, collect
from medplug_datasets.published import Card, ClassFolders

_NAME = re.compile(r"T[re]-.+\.jpg")
_TRAINING = {"glioma": 1321, "meningioma": 1339, "notumor": 1595, "pituitary": 1457}
_TESTING = {"glioma": 300, "meningioma": 306, "notumor": 405, "pituitary": 300}
_PARTS = {"Training": "train", "Testing": "test"}


@component
class BrainMri(ClassFolders):
    """Nickparvar's brain tumour MRI: 7,023 slices of four classes: ``brain_mri:FOLDER``.

    The folder holds ``Training/`` and ``Testing/``, each with ``glioma``, ``meningioma``, ``notumor`` and
    ``pituitary``: a given split, which ``split="none"`` pools as the published experiment did. The four class folders
    alone (both parts merged) are read, too.

    The slices come from three sources (figshare, SARTAJ, Br35H) that the files do not tell, the class without a
    tumour mostly from one of its own; grey or RGB storage alone tells much of the class. Hundreds of slices lie in
    both parts byte by byte, and the patients are unknown.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = BrainMri().index(make("brain_mri", folder))
        >>> index.classes
        ('glioma', 'meningioma', 'no tumour', 'pituitary tumour')
        >>> index.samples[0], str(index.splits[0])
        ('Testing/glioma/Te-gl_0010.jpg', 'test')
    """

    split: Literal["official", "none"] = param("keep Training and Testing apart, or pool them", default="official")
    examples = ({"split": "none"}, {"names": "published", "expected": "none"})

    layouts = (
        Layout(
            {**{f"Training/{n}": c for n, c in _TRAINING.items()}, **{f"Testing/{n}": c for n, c in _TESTING.items()}},
            _NAME,
        ),
        Layout({name: _TRAINING[name] + _TESTING[name] for name in _TRAINING}, _NAME),
    )
    through = ("brain-tumor-mri-dataset",)
    card = Card(
        about=About(
            title="Brain Tumor MRI Dataset (Nickparvar)",
            licence="CC0 as Kaggle says",
            citation="M. Nickparvar, Brain Tumor MRI Dataset, Kaggle (2021), doi 10.34740/kaggle/dsv/2645886",
            url="https://www.kaggle.com/datasets/masoudnickparvar/brain-tumor-mri-dataset",
        ),
        classes={
            "glioma": "glioma",
            "meningioma": "meningioma",
            "notumor": "no tumour",
            "pituitary": "pituitary tumour",
        },
        expected="the folders Training and Testing, each with glioma, meningioma, notumor and pituitary",
    )

    def index(self, source: str) -> Index:
        """The slices, by class and name.

        Raises:
            DataError: the folders are not there, or hold no images.
        """
        home = self.home(source)
        places = []
        for folder in home.folders:
            part, _, label = folder.rpartition("/")
            places.append((folder, label, _PARTS.get(part, "") if self.split == "official" else ""))
        rows, skipped = collect(home, places)
        rows = self.ordered(home, rows, skipped)
        notes = self.compare_folders(home, rows)
        if any(row.split for row in rows):
            notes.append("given split: Training -> train, Testing -> test (reader.split=none pools them)")
        notes.append("no ids of patients are published: slices of one patient may lie in several parts of a split")
        return self.to_index(home.root, rows, skipped, notes)
