// The models that a workflow names, and what the team has for each.

import { Button, Group, Stack, Text } from '@mantine/core'
import { IconCheck, IconCircleX, IconFileSearch, IconFiles, IconLink, IconReplace } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { usePermissions } from '@/api/permissions'
import type { ReferenceState } from '@/api/types'
import { CopyButton } from '@/components/CopyButton'
import { type Column, DataTable } from '@/components/DataTable'
import { FirstRows } from '@/components/FirstRows'
import { LabelledMark, type Mark } from '@/components/statusMarks'
import { useImportDialog } from '@/features/imports/useImportDialog'
import { ModelLink } from '@/features/upload/ModelLink'
import { buildKey, isLoadable, type NamedModel } from '@/features/workflows/namedModels'
import classes from '@/features/workflows/workflows.module.css'

const MAX_NODES = 2
const MAX_NODES_IN_TITLE = 30

const STATE_MARKS: Record<ReferenceState, Mark> = {
  present: {
    icon: IconCheck,
    label: 'Present',
    colour: 'green',
    meaning: 'The team has this file, with the hash that the workflow declares, if it declares one.',
  },
  other_content: {
    icon: IconFiles,
    label: 'Other content',
    colour: 'orange',
    meaning: 'The file of this name has another hash: the workflow runs, and its pictures will differ.',
  },
  other_name: {
    icon: IconReplace,
    label: 'Other name',
    colour: 'orange',
    meaning: 'The team has the file with the declared hash under another name.',
  },
  similar: {
    icon: IconFileSearch,
    label: 'Similar name',
    colour: 'orange',
    meaning: 'The team has a file whose name is similar. Whether it is the same file is not known.',
  },
  unknown: {
    icon: IconCircleX,
    label: 'Not found',
    colour: 'red',
    meaning: 'The team has no file of this name, and none whose name is similar.',
  },
}

/** Adds the model from its address; undefined if the user may not import. */
type Import = ((model: NamedModel, url: string) => void) | undefined

const COLUMNS: Column<NamedModel>[] = [
  { title: 'State', isShort: true, cell: ({ state }) => <LabelledMark mark={STATE_MARKS[state]} /> },
  { title: 'Folder', cell: ({ folder }) => <bdi>{folder ?? 'unknown'}</bdi> },
  { title: 'Model', cell: (model) => <NameCell model={model} /> },
]

const buildColumns = (onImport: Import): Column<NamedModel>[] => [
  ...COLUMNS,
  { title: 'Note', cell: (model) => <NoteCell model={model} onImport={onImport} /> },
]

export function ModelTable({ label, models }: { label: string; models: NamedModel[] }) {
  const { may } = usePermissions()
  const { addFromLink, dialog } = useImportDialog()
  const mayImport = may('imports_change')
  const onImport: Import = mayImport
    ? (model, url) => addFromLink({ url, ...(model.folder && { path: buildPath(model.folder, model.name) }) })
    : undefined
  return (
    <>
      <FirstRows rows={models}>
        {(shown) => (
          <div className={classes.models}>
            <DataTable label={label} columns={buildColumns(onImport)} rows={shown} keyOf={buildKey} />
          </div>
        )}
      </FirstRows>
      {dialog}
    </>
  )
}

/** Return the path that a workflow loads by this name. */
function buildPath(folder: string, name: string): string {
  return `models/${folder}/${name.replaceAll('\\', '/')}`
}

function NameCell({ model }: { model: NamedModel }) {
  const nodes = model.nodes.slice(0, MAX_NODES).join(', ')
  const more = model.nodes.length - MAX_NODES
  return (
    <>
      {isLoadable(model) ? <LinkedName model={model}>{model.name}</LinkedName> : <bdi>{model.name}</bdi>}
      <Text size="xs" c="dimmed" title={model.nodes.slice(0, MAX_NODES_IN_TITLE).join('\n')}>
        <bdi>{more > 0 ? `${nodes} and ${more} more` : nodes}</bdi>
      </Text>
    </>
  )
}

/** A name as a link to the model that the state is about. */
function LinkedName({ model: { modelId }, children }: { model: NamedModel; children: string }) {
  if (!modelId) return <bdi>{children}</bdi>
  return (
    <ModelLink id={modelId}>
      <bdi>{children}</bdi>
    </ModelLink>
  )
}

function NoteCell({ model, onImport }: { model: NamedModel; onImport: Import }) {
  const { suggestion, url, state, isRequired } = model
  const lines: ReactNode[] = []
  if (suggestion) {
    // Of other content, the suggestion is another model than the one that the state is about.
    const name = isLoadable(model) ? <bdi>{suggestion}</bdi> : <LinkedName model={model}>{suggestion}</LinkedName>
    lines.push(
      <CopyRow key="suggestion" text={suggestion} what="the team's name">
        The team has {name}
      </CopyRow>,
    )
  }
  if (model.reason) lines.push(<span key="reason">{model.reason}</span>)
  // Text only: the workflow may give any address.
  if (url && (state === 'unknown' || state === 'similar')) {
    lines.push(
      <CopyRow key="url" text={url} what="the address">
        <bdi>{url}</bdi>
      </CopyRow>,
    )
    if (onImport) {
      lines.push(
        <div key="import">
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconLink size={14} aria-hidden />}
            aria-label={`Add ${model.name} from link`}
            onClick={() => onImport(model, url)}
          >
            Add from link
          </Button>
        </div>,
      )
    }
  }
  if (!isRequired) lines.push(<span key="optional">not required</span>)
  return lines.length > 0 ? <Stack gap={4}>{lines}</Stack> : <span aria-hidden>–</span>
}

function CopyRow({ text, what, children }: { text: string; what: string; children: ReactNode }) {
  return (
    <Group gap={4} wrap="nowrap">
      <span style={{ minWidth: 0 }}>{children}</span>
      <CopyButton text={text} what={what} />
    </Group>
  )
}
