"""The typed configuration: schema, composition, validation, and the recorded request."""
