"""Sources of rows: files, folders of images, downloads, scikit-learn, memory."""

from lifecycle.data.sources.files import read

__all__ = ["read"]
