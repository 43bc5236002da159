"""The names of the server's commands: known without importing the server, which a base installation lacks."""

# In the order of the server's own help, with a short description each.
SERVER_COMMANDS = {
    "serve": "Run the registry.",
    "migrate": "Update the database's schema.",
    "reset-password": "Print a one-time link for a new password.",
    "restore-team": "Restore a deleted team.",
    "collect-garbage": "Delete what is past its retention now.",
    "storage": "Probe and set up the storage.",
}
