"""Probes of a model's settings on this machine; no stage imports them, since timings are never the same twice."""

from sightline.tuning.findings import Finding, findings_table
from sightline.tuning.session import probe
from sightline.tuning.write import write_changes

__all__ = ["Finding", "findings_table", "probe", "write_changes"]
