"""One file a page; Compare's three ways of asking stand beside it."""
