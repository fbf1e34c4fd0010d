"""What runs the jobs of a sweep elsewhere than in workers of this machine: Ray, and the launchers of Hydra."""
