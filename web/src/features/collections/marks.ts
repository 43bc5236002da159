// The state of a model in a collection, as icon and word.

import { IconAlertTriangle, IconCheck, IconClock, IconPlayerPause, IconTransform, IconTrash } from '@tabler/icons-react'
import type { CollectionModel, Model } from '@/api/types'
import type { Mark } from '@/components/statusMarks'
import { isDamaged, isKeptToConvert } from '@/features/models/refusals'

const MARKS = {
  available: { icon: IconCheck, label: 'Available', colour: 'green', meaning: 'The registry has this version.' },
  deleted: {
    icon: IconTrash,
    label: 'Deleted',
    colour: 'red',
    meaning: 'The model or this version was deleted. The next version of the collection is made without it.',
  },
  failed: {
    icon: IconAlertTriangle,
    label: 'Verification failed',
    colour: 'red',
    meaning: 'The content was never verified and cannot be downloaded.',
  },
  damaged: {
    icon: IconAlertTriangle,
    label: 'Damaged',
    colour: 'red',
    meaning: 'The stored content has changed since it was verified and cannot be downloaded.',
  },
  kept: {
    icon: IconTransform,
    label: 'Kept to be converted',
    colour: 'orange',
    meaning: 'The pickle file is kept only to be converted. Machines do not get it.',
  },
  pending: {
    icon: IconClock,
    label: 'Being verified',
    colour: 'gray',
    meaning: 'It can be downloaded after its content is verified.',
  },
  disabled: {
    icon: IconPlayerPause,
    label: 'Disabled',
    colour: 'gray',
    meaning: 'The model is disabled. Machines do not keep it.',
  },
} satisfies Record<string, Mark>

/** Return the state; what the record says of its verification is about the version that it shows only. */
export function findMark(entry: CollectionModel, model: Model | undefined): Mark {
  if (!entry.is_available) return MARKS.deleted
  if (!model) return MARKS.available
  if (model.version === entry.version) {
    if (isKeptToConvert(model)) return MARKS.kept
    if (isDamaged(model)) return MARKS.damaged
    if (model.verification !== 'verified') return MARKS[model.verification]
  }
  return model.model_status === 'disabled' ? MARKS.disabled : MARKS.available
}
