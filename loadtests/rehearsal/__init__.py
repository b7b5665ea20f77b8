"""An on-sale through the waiting room: people and time are simulated, the stack is not."""
