"""What ``speed.py`` times: ours and its peers, a script each, which prints as JSON what it did and how long it took.

All do equal work, with the same rows, batches, epochs, network and optimizer; ``speed.py`` checks what each reports.
"""
