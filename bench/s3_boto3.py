"""Copies one file with boto3, in the peers' environment: ``python s3_boto3.py up|down ENDPOINT BUCKET KEY FILE``.

Parts of 64 MiB, four at once, as every peer here is asked to; credentials come from the usual variables.
"""

import sys

import boto3  # type: ignore[import-not-found]  # is in the peers' environment alone
from boto3.s3.transfer import TransferConfig  # type: ignore[import-not-found]  # as above


def main() -> None:
    direction, endpoint, bucket, key, file = sys.argv[1:]
    client = boto3.client("s3", endpoint_url=endpoint)
    config = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=64 << 20, max_concurrency=4)
    if direction == "up":
        client.upload_file(file, bucket, key, Config=config)
    else:
        client.download_file(bucket, key, file, Config=config)


if __name__ == "__main__":
    main()
