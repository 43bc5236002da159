// What the palette offers: models, machines, collections and people that match, and actions.

import {
  IconAlertTriangle,
  IconKeyboard,
  IconListDetails,
  IconMoon,
  IconPlugConnected,
  IconSchema,
  IconSettings,
  IconTrash,
  IconUpload,
  IconUser,
  IconUserPlus,
  type TablerIcon,
} from '@tabler/icons-react'
import type { Operation } from '@/api/permissions'
import type { Agent, CollectionSummary, Member, Model } from '@/api/types'
import { formatBaseModel } from '@/components/baseModel'
import { formatCount } from '@/components/format'
import { formatModelType } from '@/components/modelType'
import { formatTriggerWord } from '@/components/triggerWord'
import { writeToken } from '@/features/models/filters/searchText'

interface BaseItem {
  id: string
  label: string
  detail: string
  /** Where it leads; can be opened in another tab. */
  href?: string
  /** What it does, if it leads nowhere. */
  run?: () => void
}

export type PaletteItem =
  | (BaseItem & { kind: 'model'; model: Model })
  | (BaseItem & { kind: 'machine' })
  | (BaseItem & { kind: 'person' })
  | (BaseItem & { kind: 'collection' })
  | (BaseItem & { kind: 'action'; icon: TablerIcon })

export interface PaletteGroup {
  title: string
  items: PaletteItem[]
}

export function modelItem(model: Model, detail: string): PaletteItem {
  return {
    kind: 'model',
    id: `model ${model.id}`,
    label: model.display_name,
    detail,
    href: `/models/${model.id}`,
    model,
  }
}

export function machineItem(agent: Agent): PaletteItem {
  const href = `/machines?machine=${encodeURIComponent(agent.agent_id)}`
  const ready = `${agent.models_ready} of ${agent.models_desired} models`
  return { kind: 'machine', id: `machine ${agent.agent_id}`, label: agent.agent_id, detail: ready, href }
}

export function collectionItem({ id, name, model_count }: CollectionSummary): PaletteItem {
  const detail = formatCount(model_count, 'model')
  return { kind: 'collection', id: `collection ${id}`, label: name, detail, href: `/collections/${id}` }
}

export function personItem(member: Member): PaletteItem {
  const href = `/models?q=${encodeURIComponent(writeToken('by', member.display_name))}`
  const detail = `${member.member_role} · models that they added`
  return { kind: 'person', id: `person ${member.user_id}`, label: member.display_name, detail, href }
}

export function describeModel(model: Model): string {
  const parts = [formatModelType(model.model_type), formatBaseModel(model), formatTriggerWord(model.trigger_words[0])]
  return parts.filter(Boolean).join(' · ')
}

interface Action {
  label: string
  /** Other words under which it is found. */
  words?: string
  icon: TablerIcon
  href?: string
  run?: () => void
  needs?: Operation
}

export function buildActions(run: { toggleColours: () => void; showKeys: () => void }): Action[] {
  return [
    { label: 'Upload models', words: 'add push file', icon: IconUpload, href: '/upload', needs: 'models_upload' },
    { label: 'Models missing on machines', icon: IconAlertTriangle, href: '/models?q=is%3Amissing' },
    { label: 'Check a workflow', words: 'workflows missing models', icon: IconSchema, href: '/workflows' },
    { label: 'Collections', words: 'lists of models versions', icon: IconListDetails, href: '/collections' },
    { label: 'Pair a machine', words: 'add agent', icon: IconPlugConnected, href: '/pair', needs: 'pair' },
    { label: 'Invite people', words: 'add member', icon: IconUserPlus, href: '/team', needs: 'invite' },
    { label: 'Trash', words: 'deleted restore', icon: IconTrash, href: '/models?trash=true' },
    { label: 'Team settings', words: 'quota versions', icon: IconSettings, href: '/team/settings' },
    { label: 'Your account', words: 'password profile sessions', icon: IconUser, href: '/account' },
    { label: 'Switch between light and dark', words: 'theme colours', icon: IconMoon, run: run.toggleColours },
    { label: 'Show the keys', words: 'shortcuts keyboard help', icon: IconKeyboard, run: run.showKeys },
  ]
}

export function actionItem({ label, icon, href, run }: Action): PaletteItem {
  return { kind: 'action', id: `action ${label}`, label, detail: '', icon, ...(href && { href }), ...(run && { run }) }
}

/** Return whether each typed word is in the text. */
export function matchesWords(typed: string, ...texts: string[]): boolean {
  const text = texts.join(' ').toLowerCase()
  return typed
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}
