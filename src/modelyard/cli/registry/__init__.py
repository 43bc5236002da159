"""Commands on what the registry holds: accounts, teams, members, keys, machines, models, audit events."""
