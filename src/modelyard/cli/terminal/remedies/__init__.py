"""Messages, remedies and exit codes of failures, and the words of the command that failed."""
