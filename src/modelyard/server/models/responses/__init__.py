"""The JSON of responses with many records: pages of lists, and lookups."""
