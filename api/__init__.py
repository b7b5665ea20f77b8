"""HTTP: routes per noun, and the one table from outcomes to problems. It speaks to the engine only.
"""
