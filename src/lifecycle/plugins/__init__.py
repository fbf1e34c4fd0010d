"""The built-in architectures: plugins like anyone's, declared by the same entry points."""
