// Says when somebody else changed what one is in a team; the rest of the page only shows what is allowed now.

import { useEffect, useRef } from 'react'
import { useSession } from '@/api/session'
import type { OwnTeam } from '@/api/types'
import { queries } from '@/app/queries'
import { told } from '@/parts/notify'

export function useStanding(): void {
  const session = useSession()
  const before = useRef<OwnTeam>(undefined)
  useEffect(() => {
    if (session.state !== 'signed-in') return
    const was = before.current
    before.current = session.team
    if (!was) return
    const now = session.me.team_list.find((team) => team.id === was.id)
    if (!now) {
      told(`You are no longer in “${was.display_name}”.`)
    } else if (now.member_role !== was.member_role) {
      void queries.invalidateQueries()
      told(`Your role in “${now.display_name}” is now: ${now.member_role}.`)
    }
  }, [session])
}
