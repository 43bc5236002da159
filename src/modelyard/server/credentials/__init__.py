"""Keys of programs and machines: creating, listing, rotating and revoking them, and pairing devices."""
