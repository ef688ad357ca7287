"""What a run can say to items of reporting guidelines: one function an answer, ``None`` where the facts do not tell.

Answers are plain text; whoever shows them escapes them.
"""

from medplug.report.answers import data, model, results
from medplug.report.answers.telling import ANSWERS

__all__ = ["ANSWERS", "data", "model", "results"]
