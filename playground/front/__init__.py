"""The entry: navigation, what is around every page, and who may see it."""
