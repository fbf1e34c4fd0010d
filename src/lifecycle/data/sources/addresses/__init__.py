"""Rows at addresses: web servers, cloud storage, the Hugging Face Hub, OpenML."""
