"""What the runs of a sweep have shown: the leader board, its statistics, the printed report, and the page."""
