"""Where bytes live: one promise (``blob_store``), a folder that keeps it (``local``), and the routes of that folder."""
