"""What is for sale: shows, for now."""
