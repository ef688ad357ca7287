"""``python -m medplug``."""

import sys

from medplug.cli.main import main

sys.exit(main())
