"""Moving bytes between files and URLs; knows nothing of models or teams."""
