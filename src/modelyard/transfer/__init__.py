"""File transfers between local files and presigned URLs, independent of models and teams."""
