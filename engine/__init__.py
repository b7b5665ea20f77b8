"""What Onsale does, without HTTP: holds, purchases, recovery, the ledger."""
