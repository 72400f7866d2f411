"""The SQLite file: its schema, what writes rows into it, and what reads them back."""
