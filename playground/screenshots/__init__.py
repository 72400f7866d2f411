"""What drives a playground and a browser, and the README's pictures."""
