"""The auditor: compares both stores for every show, from outside the engine.

It only reads, and it reads the stores' formats with code of its own: an auditor that shared the
engine's code would share its mistakes. What it checks, and in which order: docs/AUDIT.md.
"""

from loadtests.auditor.audit import AuditResult, UnknownShowError, audit
from loadtests.auditor.findings import Finding

__all__ = ["AuditResult", "Finding", "UnknownShowError", "audit"]
