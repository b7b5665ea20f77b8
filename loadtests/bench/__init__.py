"""The benchmark harness: every measurement beside its control, in one run."""
