"""Spreadsheets of shows and prices: read, checked line by line, imported whole, exported."""
