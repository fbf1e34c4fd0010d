"""The tools that ``speed.py`` times, one script each. A script prints its work and its time as JSON.

All do the same work, with the same rows, batches, epochs, network and optimizer; ``speed.py`` checks their reports.
"""
