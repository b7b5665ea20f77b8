"""The spike: a scenario or a million requests at one show, watched every second, then audited.

`./onsale spike` runs it; docs/LOADTESTS.md says how to read what it writes.
"""
