"""How text files write tables: detection, header, encodings, and rewriting for the parser."""
