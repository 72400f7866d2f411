"""The tests mirror the package's files."""
