"""Roll-outs of versions of collections: first to machines with a label, then to all that are subscribed."""
