"""Making a machine's models folders hold what a registry wants there; the CLI's `sync` and the agent run the same.

wanted     what the registry says, checked as if it were an enemy
holding    what is on this machine's disks
planning   what to do about the difference; pure
acting     doing it
"""
