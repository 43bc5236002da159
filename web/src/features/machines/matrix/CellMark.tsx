// The mark of a cell: the states of machines, for one model. A cell in order is a dot.

import type { Agent, AgentState } from '@/api/types'
import { isInProgress } from '@/components/isInProgress'
import { isLoaded } from '@/components/isLoaded'
import { MACHINE_STATE_MARKS } from '@/components/MachineState'
import classes from '@/features/machines/matrix/matrix.module.css'

type State = Agent['machine_state']

export function CellMark({ state }: { state: State }) {
  if (state === 'up_to_date') return <span className={classes.dot} aria-hidden />
  const { icon: Icon, colour } = MACHINE_STATE_MARKS[state]
  return <Icon size={16} color={colour} aria-hidden />
}

/** Return the state of one model on a machine; what an offline machine had begun does not go on. */
export function getCellState({ state, reason }: Pick<AgentState, 'state' | 'reason'>, isOffline: boolean): State {
  if (isInProgress({ state }) && isOffline) return 'offline'
  if (state === 'queued') return 'waiting'
  if (isInProgress({ state })) return 'syncing'
  return isLoaded({ state, reason }) ? 'up_to_date' : 'problem'
}
