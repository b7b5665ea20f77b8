"""The waiting room: numbers, the draw, admission, passes, and the gates before all that."""
