// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     server/accounts/operations.py
//     server/agents/heartbeats/recording.py
//     server/invitations/operations.py
//     server/settings.py
//     sync/apply/files/trash.py
//     wire/agents/values.py

/** How long an invitation is valid. */
export const INVITATION_DAYS = 7

/** How long a link to reset a password is valid. */
export const RESET_HOURS = 1

/** How long a deleted team or model can be restored, unless the operator has set another time. */
export const DEFAULT_TRASH_DAYS = 7

/** How long a machine keeps a removed file. */
export const MACHINE_TRASH_HOURS = 24

/** The time between two heartbeats of an idle machine. */
export const IDLE_HEARTBEAT_SECONDS = 30

/** After how long without a heartbeat a machine is offline. */
export const UNHEALTHY_SECONDS = 90
