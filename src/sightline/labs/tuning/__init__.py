"""Probes of a model's settings on this machine; no stage imports them, since timings are never the same twice."""

from sightline.labs.tuning.findings import Finding, findings_table
from sightline.labs.tuning.session import probe
from sightline.labs.tuning.write import write_changes

__all__ = ["Finding", "findings_table", "probe", "write_changes"]
