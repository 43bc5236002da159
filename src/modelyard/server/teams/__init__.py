"""Teams, members and roles, the permission table, the audit trail over HTTP, and a registry's first start."""
