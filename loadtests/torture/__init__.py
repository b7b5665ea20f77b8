"""The nemesis: a real platform, a crowd at a small inventory, faults between any two steps."""
