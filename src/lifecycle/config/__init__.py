"""The typed configuration: schema, composition, checks, the recorded request."""
