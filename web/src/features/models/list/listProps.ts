// What the gallery and the table are given.

import type { Model } from '@/api/types'
import type { Selection } from '@/features/models/list/useSelection'

export interface ModelListProps {
  rows: Model[]
  /** How many there are in all, if that is known. */
  total: number | undefined
  selection: Selection
  /** Whether the user may select a model: any that they may send to machines, and in the trash any that they may restore. */
  mayMark: (model: Model) => boolean
  mayChange: (model: Model) => boolean
  /** Whether the user can select models, which needs permission to change or send some. */
  hasMarks: boolean
  /** Identifies the list: in another one, nothing is selected and the first model is active. */
  list: string
  openId: string | undefined
  onOpen: (model: Model) => void
  /** Opens the dialog that sends models to machines; undefined without permission. */
  onSend: ((models: Model[]) => void) | undefined
  hasMore: boolean
  onMore: () => void
}
