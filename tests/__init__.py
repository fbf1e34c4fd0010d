"""Tests; this is imported before PyTorch is."""

import os

# A thread of OpenMP that waits for others would go round in circles on a core that the other worker of the tests needs.
# The numbers are the same, and a short run takes a quarter less processor time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
