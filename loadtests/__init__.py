"""Load: generated halls, crowds of buyers, and the auditor that judges from outside."""
