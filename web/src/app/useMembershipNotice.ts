// Shows a notice when another person changed the user's role or membership.

import { useEffect, useRef } from 'react'
import { queryClient } from '@/api/queryClient'
import { useSession } from '@/api/session'
import type { OwnTeam } from '@/api/types'
import { notifyUntilClosed } from '@/components/notify'

export function useMembershipNotice(): void {
  const session = useSession()
  const before = useRef<OwnTeam>(undefined)
  useEffect(() => {
    if (session.state !== 'signed-in') return
    const was = before.current
    before.current = session.team
    if (!was) return
    const now = session.me.team_list.find((team) => team.id === was.id)
    if (!now) {
      notifyUntilClosed(`You are no longer a member of “${was.display_name}”.`)
    } else if (now.member_role !== was.member_role) {
      void queryClient.invalidateQueries()
      notifyUntilClosed(`Your role in “${now.display_name}” is now: ${now.member_role}.`)
    }
  }, [session])
}
