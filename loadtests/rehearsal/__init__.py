"""A simulated on-sale through the waiting room: people, bots and time are made up, the stack is not."""
