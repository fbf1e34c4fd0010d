"""The YAML files that a user composes; see CONTRIBUTING.md for how to add one."""
