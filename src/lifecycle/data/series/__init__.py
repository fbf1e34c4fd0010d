"""What a series is made of: season, trend and transform, its windows, its groups, gaps and calendar."""
