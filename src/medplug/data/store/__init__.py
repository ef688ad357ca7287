"""The decode-once cache: images read, measured and prepared once, kept on disk and shared by all runs.

``opening`` is the way in; ``content`` tells which file is which; ``entry`` and ``factfile`` are the files of one entry;
``draft`` and ``filling`` make one; ``pixelstore`` gives pixels out; ``cache`` has the place, its locks and its limit.
"""

from medplug.data.store.opening import decode_one, input_shape, open_facts, open_store
from medplug.data.store.pixelstore import PixelStore

__all__ = ["PixelStore", "decode_one", "input_shape", "open_facts", "open_store"]
