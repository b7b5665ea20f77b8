"""The API's contract as it is checked in: written, compared, and held to what was released."""
