"""What other systems read of the catalogue: calendars, schema.org, feeds. Public data only."""
