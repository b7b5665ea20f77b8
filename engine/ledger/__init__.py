"""The journal: every sale as a balanced set of postings."""
