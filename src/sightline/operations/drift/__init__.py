"""Whether recent images still are what models were judged on: tests, verdicts, pictures.

Verdicts are read without the libraries that make them.
"""

from sightline.operations.drift.verdicts import Verdict, last_verdicts

__all__ = ["Verdict", "last_verdicts"]
