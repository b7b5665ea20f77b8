"""Resellers and their credentials."""
