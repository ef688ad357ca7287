"""A process that opens a store, for tests with several of them: FOLDER LOG DELAY [hold | limit BYTES]."""

import sys
from pathlib import Path

from store_reader import OPTIONS, Numbers

from medplug.data.store import open_store
from medplug.errors import MedplugError
from medplug.progress import Reporter


def main():
    folder, log, delay, *rest = sys.argv[1:]
    if rest[:1] == ["limit"]:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(rest[1]), int(rest[1])))
    uris = tuple(sorted(map(str, Path(folder).glob("*.txt"))))
    try:
        store = open_store(Numbers(log, float(delay)), "r", uris, OPTIONS, 2, Reporter())
    except MedplugError as error:
        print(type(error).__name__, error, flush=True)
        return 2
    print("open", int(store.images[:].sum()), flush=True)
    if rest == ["hold"]:
        sys.stdin.read()
    return 0


sys.exit(main())
