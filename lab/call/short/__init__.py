"""What is sent becomes shorter: forms that lose nothing, and the passages that a question needs."""
