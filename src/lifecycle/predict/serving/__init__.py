"""The model server: connections, requests and predictions."""
