"""Files from the network, for weights and data sets."""

from medplug.downloads.bar import progress_bar
from medplug.downloads.download import Download, cache_folder

__all__ = ["Download", "cache_folder", "progress_bar"]
