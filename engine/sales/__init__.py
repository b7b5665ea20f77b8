"""Orders: what a sale costs, and how it is recorded in the ledger."""
