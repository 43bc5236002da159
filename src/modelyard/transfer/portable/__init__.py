"""System calls that differ between POSIX and Windows, each in one form for both."""
