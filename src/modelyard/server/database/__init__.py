"""The database: engines, transactions, failures and migrations, for SQLite and PostgreSQL."""
