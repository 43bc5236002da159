// The views of the navigation, and which permission shows them.

import {
  IconLayoutGrid,
  IconListDetails,
  IconSchema,
  IconServer2,
  IconUpload,
  IconUsers,
  type TablerIcon,
} from '@tabler/icons-react'
import type { Operation } from '@/api/permissions'

interface View {
  to: string
  label: string
  needs?: Operation
}

export interface MainView extends View {
  icon: TablerIcon
}

export const VIEWS: MainView[] = [
  { to: '/models', label: 'Models', icon: IconLayoutGrid },
  { to: '/upload', label: 'Uploads', icon: IconUpload, needs: 'models_upload' },
  { to: '/machines', label: 'Machines', icon: IconServer2 },
  { to: '/workflows', label: 'Workflows', icon: IconSchema },
  { to: '/collections', label: 'Collections', icon: IconListDetails },
  { to: '/team', label: 'Team', icon: IconUsers },
]

/** The views of the team, as tabs below the header. */
export const TEAM_VIEWS: View[] = [
  { to: '/team', label: 'Members', needs: 'members_list' },
  { to: '/team/keys', label: 'Keys' },
  { to: '/team/history', label: 'History', needs: 'audit_read' },
  { to: '/team/settings', label: 'Team settings' },
]

/** Return whether the path is of this view or below it. */
export function isWithin(pathname: string, { to }: View): boolean {
  return pathname === to || pathname.startsWith(`${to}/`)
}
