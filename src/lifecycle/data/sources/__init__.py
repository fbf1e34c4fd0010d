"""Where rows come from: files, folders of images, downloads, scikit-learn, memory."""
