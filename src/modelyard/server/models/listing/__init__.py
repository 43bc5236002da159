"""Model lists: the conditions of their filters, the choice of an index, cursors and pages."""
