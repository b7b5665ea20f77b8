"""The waiting room: who may buy next, and how anyone can check it."""
