"""The Python interface: Model, its arguments as a request, what a notebook displays."""
