"""The model server: HTTP connections, requests and predictions."""
