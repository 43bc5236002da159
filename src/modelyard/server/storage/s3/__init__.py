"""The S3 store: objects in a bucket, which clients reach by presigned requests."""
