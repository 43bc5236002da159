"""Keys of programs and machines: made, listed, revoked, and paired with devices."""
