"""The process and the machine: seeds, memory, threads, signals, ports, digests, lazy imports."""
