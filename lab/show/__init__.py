"""Values as a person sees them: text, units, HTML, timelines, tables, charts.

Knows nothing of where they come from.
"""
