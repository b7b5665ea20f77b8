"""What happened, for resellers' systems: types of facts, and the log that they stand in."""
