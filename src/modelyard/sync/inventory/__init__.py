"""Read the state of a machine's disks: roots, files and their hashes, and the journal of placed files."""
