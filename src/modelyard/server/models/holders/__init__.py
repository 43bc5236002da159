"""Which machines hold which models: the rows, who should hold what, and the counts that lists show."""
