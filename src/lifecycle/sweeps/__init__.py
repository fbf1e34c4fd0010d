"""Many runs as one experiment: the jobs of a multirun, and its report."""
