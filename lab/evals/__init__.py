"""Which is better: eval sets, scorers, experiments planned and resumed, gates, ratings, reports."""
