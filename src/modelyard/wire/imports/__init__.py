"""API schemas of imports: drafts of links, and the imports themselves."""
