"""Reader ``hust19_ct``: the classified CT slices of HUST-19 (iCTCF)."""

from __future__ import annotations

import re

from medplug.plugins import About, Index, component
from medplug_datasets.layout import Layout, collect
from medplug_datasets.published import Card, ClassFolders


@component
class Hust19Ct(ClassFolders):
    """HUST-19: 19,685 CT slices with, without and beside signs of COVID-19: ``hust19_ct:FOLDER``.

    The folder holds ``NiCT`` (not informative: the lungs are hardly seen), ``nCT`` (negative) and ``pCT`` (positive).
    Kaggle's copy has them in ``Original CT Scans``, which is read, and once more in ``Preprocessed CT scans`` with the
    lungs cut out, which is left out; name that folder itself to read it.

    The slices are of some 1,500 persons, which the file names (a class and a number) do not tell: neighbouring slices
    of one scan lie on both sides of any split that is made here, and figures near 1 must be read in that light.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = Hust19Ct().index(make("hust19_ct", folder))
        >>> index.classes, len(index)
        (('not informative', 'negative', 'positive'), 6)
        >>> [note for note in index.notes if "scan" in note]
        ['no ids of persons are published: neighbouring slices of one scan lie in several parts of a split']
    """

    examples = ({"names": "published"},)

    layouts = (Layout({"NiCT": 5705, "nCT": 9979, "pCT": 4001}, re.compile(r".+\.(jpe?g|png)", re.IGNORECASE)),)
    through = ("Original CT Scans", "CT scans")
    card = Card(
        about=About(
            title="HUST-19 CT slices (iCTCF)",
            licence="CC BY 4.0 as the Kaggle copy says",
            citation="Ning et al., Nature Biomedical Engineering 4 (2020) 1197-1207",
            url="https://ngdc.cncb.ac.cn/ictcf/",
        ),
        classes={"NiCT": "not informative", "nCT": "negative", "pCT": "positive"},
        expected="the folders NiCT, nCT and pCT (capital letters count), perhaps within 'Original CT Scans'",
    )

    def index(self, source: str) -> Index:
        """The slices, by class and name.

        Raises:
            DataError: the folders are not there, or hold no images.
        """
        home = self.home(source)
        rows, skipped = collect(home, [(name, name, "") for name in home.folders])
        rows = self.ordered(home, rows, skipped)
        notes = self.compare_folders(home, rows)
        notes.append("no ids of persons are published: neighbouring slices of one scan lie in several parts of a split")
        return self.to_index(home.root, rows, skipped, notes)
