"""What is looked at before anything is trained. Each module is one family of checks; ``inspecting`` has their order."""

from __future__ import annotations

from medplug.data.checks.inspecting import check_data, fingerprint, inspect_data
from medplug.data.checks.report import CheckReport, Finding

__all__ = ["CheckReport", "Finding", "check_data", "fingerprint", "inspect_data"]
