"""The YAML files that users compose. CONTRIBUTING.md says how to add one."""
