"""What this distribution offers to medplug. Light: imports nothing that is slow."""

from __future__ import annotations

from collections.abc import Iterator

from medplug.plugins import Component, hookimpl


@hookimpl
def medplug_components() -> Iterator[Component]:
    """The components of this distribution."""
    yield Component(
        "reader",
        "dicom",
        "medplug_dicom.reader:Dicom",
        "DICOM files in class folders, or with a table of labels; patients as salted hashes",
        tags=("groups", "multilabel"),
    )
