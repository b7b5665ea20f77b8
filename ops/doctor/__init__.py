"""What is wrong with a set-up, and how to mend it."""

from ops.doctor.examination import examine
from ops.doctor.findings import Finding, State

__all__ = ["Finding", "State", "examine"]
