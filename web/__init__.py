"""Pages for people: the waiting room, for now. Everything else speaks JSON: api."""
