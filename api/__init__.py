"""HTTP: routes per noun, and one table from outcomes to problems. It speaks to the engine only."""
