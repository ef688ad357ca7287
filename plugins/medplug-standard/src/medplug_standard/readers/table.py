"""Reader ``csv``: a table of images with labels, groups and splits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from medplug.plugins import component, param
from medplug_standard.readers.sheetfile import SHEETS
from medplug_standard.readers.tablefile import Format, Table, read_table
from medplug_standard.readers.tabular import Tabular

_SURENESS = {".csv": 0.9, ".tsv": 0.9, ".txt": 0.3, **dict.fromkeys(SHEETS, 0.9)}


@component
class Csv(Tabular):
    r"""A table with one row per image (or per patient, with several columns of images); images lie beside it or below.

    It is a separated text file, or a sheet of an Excel file where openpyxl is installed. How the file is written, and
    which column means what, is found out unless parameters say so, and told in ``Index.notes``. The rules stand in
    :mod:`~medplug_standard.readers.tablefile` (the file), :mod:`~medplug_standard.readers.filematch` and
    :mod:`~medplug_standard.readers.imagecolumns` (images), and :mod:`~medplug_standard.readers.columns` (all others).

    Labels: one column of classes (multi-class; several labels with ``|`` between make it multi-label), or several
    columns of 0 and 1 (multi-class if each row has exactly one 1, else multi-label; an empty cell or -1 is unknown).
    Classes are sorted as strings, as numbers if all of them are; several columns keep their order.

    Several columns of images: each is a sample with the labels of its row; the group ``row`` keeps them together.

    Rows without a file, without a label, or whose image occurs again with another label are skipped with a reason.
    Row numbers count the first row, mostly the header, as 1. Columns without another role become metadata.
    ``about.toml`` beside the table may tell title, licence, citation and url.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as data:
        ...     for name in ("007", "008", "009"):
        ...         Image.new("L", (8, 8)).save(f"{data}/{name}.png")
        ...     _ = Path(data, "labels.csv").write_text("id;finding;patient\n7;cyst;A\n8;none;A\n9;cyst;B\n")
        ...     index = Csv(group_column="patient").index(f"{data}/labels.csv")
        >>> index.samples, index.classes, index.groups["patient"].tolist()
        (('007.png', '008.png', '009.png'), ('cyst', 'none'), ['A', 'A', 'B'])
        >>> print("\n".join(index.notes))
        the table: utf-8, separator ';', columns named in row 1 (guessed)
        images from column 'id' (guessed), beside the table (guessed): numbers matched to the file names
        label from column 'finding' (guessed by its name)
        groups from 'patient'
    """

    separator: str | None = param("one character, or the word tab; left out, it is guessed", default=None)
    encoding: str | None = param("text encoding, e.g. cp1252; left out, it is guessed", default=None)
    header_row: int | None = param(
        "number of the row that names the columns, 0 for none; left out, it is guessed", default=None, ge=0
    )
    decimal: Literal["auto", "point", "comma"] = param(
        "in numbers; auto takes commas for decimal where they do not separate cells", default="auto"
    )
    sheet: str | None = param("sheet of an Excel file; left out, the first", default=None)

    def __post_init__(self) -> None:
        self.check_pixels()

    def can_read(self, source: str) -> float:
        """0.9 for a file named ``.csv``, ``.tsv`` or ``.xlsx``, 0.3 for ``.txt``, else 0."""
        try:
            return _SURENESS.get(os.path.splitext(source)[1].lower(), 0.0) if Path(source).is_file() else 0.0
        except (OSError, ValueError):
            return 0.0

    def table(self, path: Path) -> Table:
        """The table in a file."""
        return read_table(path, Format(self.separator, self.encoding, self.header_row, self.decimal, self.sheet))
