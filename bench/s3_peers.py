"""The programs that modelyard is compared with on S3, each configured for parts of 64 MiB, four at once.

For s5cmd that was the best of one run over 2 to 8 at once and 32 to 100 MiB; it is also run with its defaults (5 at
once, 50 MiB). Its binary is run directly, without the script of its wheel, whose start would add to its time.
"""

import os
import sysconfig
from collections.abc import Callable
from pathlib import Path

VENV = Path(".venv-bench").absolute()
RCLONE = Path(sysconfig.get_path("scripts")) / "rclone"
PART_MEBIBYTES, CONCURRENT_PARTS = 64, 4

Command = list[str]


class Peers:
    """Commands that copy a file or a folder to and from a bucket, and an environment with the credentials."""

    def __init__(self, home: Path, endpoint: str, access_key: str, secret_key: str) -> None:
        self._endpoint = endpoint
        config = home / "aws-config"
        config.write_text(
            f"[default]\ns3 =\n  max_concurrent_requests = {CONCURRENT_PARTS}\n"
            f"  multipart_threshold = {PART_MEBIBYTES}MB\n"
            f"  multipart_chunksize = {PART_MEBIBYTES}MB\n  addressing_style = path\n"
        )
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
        self.environment = inherited | {
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(config),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "RCLONE_CONFIG": os.devnull,
        }

    def upload_commands(self) -> dict[str, Callable[[Path, str, str], Command]]:
        """Return, by name, functions that build the upload command for a file, a bucket and a key."""
        return {
            "s5cmd": lambda file, bucket, key: self._s5cmd(str(file), _url(bucket, key), tuned=True),
            "s5cmd, as it comes": lambda file, bucket, key: self._s5cmd(str(file), _url(bucket, key), tuned=False),
            "rclone": lambda file, bucket, key: self._rclone(str(file), f":s3:{bucket}/{key}"),
            "aws cli": lambda file, bucket, key: self._aws(str(file), _url(bucket, key)),
            "boto3": lambda file, bucket, key: self._boto3("up", file, bucket, key),
        }

    def download_commands(self) -> dict[str, Callable[[Path, str, str], Command]]:
        """Return, by name, functions that build the download command for a file, a bucket and a key."""
        return {
            "s5cmd": lambda file, bucket, key: self._s5cmd(_url(bucket, key), str(file), tuned=True),
            "s5cmd, as it comes": lambda file, bucket, key: self._s5cmd(_url(bucket, key), str(file), tuned=False),
            "rclone": lambda file, bucket, key: self._rclone(f":s3:{bucket}/{key}", str(file)),
            "aws cli": lambda file, bucket, key: self._aws(_url(bucket, key), str(file)),
            "boto3": lambda file, bucket, key: self._boto3("down", file, bucket, key),
        }

    def copy_with_rclone(self, source: str, target: str) -> Command:
        """Build the command that copies what is new in a folder; one of the two is a bucket, as ``:s3:NAME/PREFIX``."""
        return [str(RCLONE), "copy", "--quiet", *self._rclone_store(), "--s3-no-check-bucket", source, target]

    def _s5cmd(self, source: str, target: str, *, tuned: bool) -> Command:
        [program] = (VENV / "lib").glob("python3*/site-packages/s5cmd/bin/s5cmd")
        parts = ["--concurrency", str(CONCURRENT_PARTS), "--part-size", str(PART_MEBIBYTES)] if tuned else []
        return [str(program), "--endpoint-url", self._endpoint, "cp", *parts, source, target]

    def _rclone(self, source: str, target: str) -> Command:
        up = [
            "--s3-chunk-size",
            f"{PART_MEBIBYTES}M",
            "--s3-upload-concurrency",
            str(CONCURRENT_PARTS),
            "--s3-no-check-bucket",
        ]
        down = ["--multi-thread-chunk-size", f"{PART_MEBIBYTES}M", "--multi-thread-streams", str(CONCURRENT_PARTS)]
        return [str(RCLONE), "copyto", "--quiet", *self._rclone_store(), *up, *down, source, target]

    def _rclone_store(self) -> list[str]:
        return ["--s3-provider", "SeaweedFS", "--s3-env-auth", "--s3-endpoint", self._endpoint]

    def _aws(self, source: str, target: str) -> Command:
        program = [str(VENV / "bin" / "python"), str(VENV / "bin" / "aws")]
        return [*program, "--endpoint-url", self._endpoint, "s3", "cp", "--quiet", source, target]

    def _boto3(self, direction: str, file: Path, bucket: str, key: str) -> Command:
        script = str(Path(__file__).with_name("s3_boto3.py"))
        return [str(VENV / "bin" / "python"), script, direction, self._endpoint, bucket, key, str(file)]


def _url(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"
