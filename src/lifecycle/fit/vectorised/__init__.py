"""Fits many networks of one shape at once, on the CPU, with the results of single fits."""
