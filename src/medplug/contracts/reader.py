"""The contract of readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from medplug.values import Index


@runtime_checkable
class Reader(Protocol):
    """Finds the samples of a data set, and loads the pixels of one.

    Parameters of a reader are the options of its layout (``label_column``, ``masks`` …). The same source
    gives the same index each time. ``load`` is called from several threads. A reader whose ``load`` also takes
    the path of any image file has the class attribute ``loads_files = True``: new images are then read by it.

    Decoded pixels are kept by the reader's parameters and code, and by the bytes of the files that they come from: the
    uri where it is a path, the path before ``#`` in ``scan.dcm#3``, all files of a folder, or else DATA where it is a
    file. A reader that reads other files has ``files(uri)``, their paths.

    A reader may have ``facts(uri)``: what its file tells beside the pixels, as texts and numbers by name
    (``{"format": "JPEG", "bits": 8}``; ``medplug.plugins.file_facts`` does it for image files). The checks ask whether
    such facts alone give the class away. Nothing in them may identify a person.
    A reader may have ``unlabelled(source)``: as ``index``, but of all images that the source holds, without their labels
    (no classes, ``targets`` ``[N, 0]``, ``task="multilabel"``). With it ``predict`` takes what the reader understands: a
    table, a file that holds many images, a folder of its own layout.
    A reader may have ``mask(uri)``: where in an image is what its label names, ``[*S]`` bool of the size that ``load`` gives,
    or None where nobody has marked it. A mask without a true pixel says that there is nothing to find. It is called on the
    object that made the index, with a uri of it, and raises ``ImageError`` where a mask cannot be read. With it
    explanations are held against what was marked.
    """

    def can_read(self, source: str) -> float:
        """How sure the reader is that it understands the source, 0 to 1. Never raises, opens no pixels.

        ``source`` is what the user typed as DATA. Among readers the surest one is chosen; readers that are
        only ever named (``my_reader:ARGUMENT``) return 0.
        """
        ...

    def index(self, source: str) -> Index:
        """The samples with their labels: names, targets, classes, task, groups, metadata, given splits.

        Opens no pixels. Raises ``DataError`` with a sentence for the user where the source cannot be used.
        Files left out are listed in ``Index.skipped``; guesses are told in ``Index.notes``.
        """
        ...

    def load(self, uri: str) -> np.ndarray:
        """The pixels of one sample, ``[*S, C]``: uint8 (0..255), uint16 (0..65535) or float32 (0..1); C is 1, 3 or 4.

        ``uri`` is an element of ``Index.uris``. Raises ``ImageError`` with the reason where it cannot be read;
        ``medplug.plugins.load_image`` does the work for files that Pillow knows.
        """
        ...
