// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     server/identity/authentication.py
//     server/teams/permissions.py
//     wire/people/roles.py
//     wire/teams.py

/** The roles of team members, in ascending order of permissions. */
export const ROLES = ['viewer', 'member', 'admin', 'owner'] as const

/** The roles that a member can be given; the role of the owner is transferred. */
export const ASSIGNABLE_ROLES = ['viewer', 'member', 'admin'] as const

/** The lowest role of a user that may do each operation. */
export const REQUIRED_ROLE = {
  models_read: 'viewer',
  models_download: 'viewer',
  models_lookup: 'viewer',
  models_upload: 'member',
  models_edit: 'member',
  versions_read: 'viewer',
  versions_activate: 'member',
  trusted_files_read: 'viewer',
  trusted_files_change: 'admin',
  previews_read: 'viewer',
  workflows_check: 'viewer',
  collections_read: 'viewer',
  collections_edit: 'member',
  collections_subscribe: 'admin',
  imports_read: 'viewer',
  imports_change: 'member',
  source_tokens_manage: 'admin',
  agents_list: 'viewer',
  agents_assign: 'member',
  agents_manage: 'admin',
  credentials_create: 'admin',
  credentials_list: 'viewer',
  credentials_revoke: 'viewer',
  credentials_rotate: 'admin',
  pair: 'viewer',
  team_read: 'viewer',
  team_change: 'admin',
  team_transfer: 'owner',
  team_delete: 'owner',
  members_list: 'admin',
  members_change: 'admin',
  members_remove: 'viewer',
  invite: 'admin',
  audit_read: 'admin',
  webhooks_manage: 'admin',
} as const

/** The lowest role that may edit the models of other people. */
export const EDIT_EVERY_ROLE = 'admin'

/** The roles whose users may be responsible for keys. */
export const KEY_CREATOR_ROLES = ['admin', 'owner'] as const
