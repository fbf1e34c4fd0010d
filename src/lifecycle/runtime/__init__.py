"""The process and the machine: seeds, memory, signals, ports, digests, lazy imports."""
