// The models of a collection's version: picture, name, path, version, size and state.

import { ActionIcon, Menu, Text } from '@mantine/core'
import { IconArrowUp, IconDots, IconX } from '@tabler/icons-react'
import type { Collection, CollectionModel, Model } from '@/api/types'
import { type Column, DataTable } from '@/components/DataTable'
import { FirstRows } from '@/components/FirstRows'
import { formatBytes } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { ModelPicture } from '@/components/ModelPicture'
import { LabelledMark } from '@/components/statusMarks'
import classes from '@/features/collections/collections.module.css'
import { listEntries, listOutdated, mergeEntries, removeEntry } from '@/features/collections/entries'
import { findMark } from '@/features/collections/marks'
import { changeModels } from '@/features/collections/mutations'
import { useModelRecords } from '@/features/collections/queries'
import { useChange } from '@/features/collections/useChange'

interface Row {
  entry: CollectionModel
  model: Model | undefined
  name: string
}

const COLUMNS: Column<Row>[] = [
  { title: 'Model', cell: (row) => <NameCell row={row} /> },
  { title: 'Version', isShort: true, cell: ({ entry }) => <VersionCell entry={entry} /> },
  { title: 'Size', isShort: true, cell: ({ entry }) => formatBytes(entry.file_size) },
  { title: 'State', isShort: true, cell: (row) => <LabelledMark mark={findMark(row.entry, row.model)} /> },
]

interface CollectionModelsProps {
  models: CollectionModel[]
  /** The collection that the user may change; undefined for others and for older versions. */
  collection?: Collection | undefined
}

export function CollectionModels({ models, collection }: CollectionModelsProps) {
  const records = useModelRecords(models.map(({ model_id }) => model_id))
  const rows = models.map((entry) => {
    const model = records.get(entry.model_id)
    return { entry, model, name: model?.display_name ?? nameOfPath(entry.model_path) }
  })
  const columns = collection ? [...COLUMNS, buildMenuColumn(collection)] : COLUMNS
  return (
    <FirstRows rows={rows}>
      {(shown) => (
        <div className={classes.models}>
          <DataTable label="Models" columns={columns} rows={shown} keyOf={({ entry }) => entry.model_id} />
        </div>
      )}
    </FirstRows>
  )
}

function nameOfPath(path: string): string {
  return path.split('/').at(-1) ?? path
}

function NameCell({ row: { entry, model, name } }: { row: Row }) {
  const model_type = entry.model_path.replace(/^models\//, '').split('/')[0] ?? ''
  return (
    <div className={classes.name}>
      <span className={classes.picture}>
        <ModelPicture model={model ?? { display_name: name, model_type }} isSmall />
      </span>
      <div className={classes.text}>
        {entry.current_version === null ? (
          <bdi>{name}</bdi>
        ) : (
          <AnchorLink to="/models/$id" params={{ id: entry.model_id }} search={{}} size="sm" fw={500}>
            <bdi>{name}</bdi>
          </AnchorLink>
        )}
        <Text size="xs" c="dimmed">
          <bdi>{entry.model_path}</bdi>
        </Text>
      </div>
    </div>
  )
}

function VersionCell({ entry }: { entry: CollectionModel }) {
  const isOutdated = listOutdated([entry]).length > 0
  return (
    <>
      v{entry.version}
      {isOutdated && (
        <Text size="xs" c="dimmed" component="div">
          the model has v{entry.current_version}
        </Text>
      )}
    </>
  )
}

function buildMenuColumn(collection: Collection): Column<Row> {
  return { title: 'Actions', isLast: true, cell: (row) => <RowMenu row={row} collection={collection} /> }
}

function RowMenu({ row: { entry, name }, collection }: { row: Row; collection: Collection }) {
  const [isBusy, run] = useChange()
  const entries = listEntries(collection.model_list)
  const [outdated] = listOutdated([entry])
  const onUpdate = () =>
    run(() =>
      changeModels(collection, {
        models: mergeEntries(entries, [{ model_id: entry.model_id, version: entry.current_version }]),
        message: `“${collection.name}” has version ${entry.current_version} of “${name}” now.`,
      }),
    )
  const onRemove = () =>
    run(() =>
      changeModels(collection, {
        models: removeEntry(entries, entry.model_id),
        message: `“${name}” was removed from “${collection.name}”.`,
      }),
    )
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" loading={isBusy} aria-label={`Actions for ${name}`}>
          <IconDots size={18} aria-hidden />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {outdated && (
          <Menu.Item leftSection={<IconArrowUp size={16} aria-hidden />} onClick={onUpdate}>
            Use version {entry.current_version}
          </Menu.Item>
        )}
        <Menu.Item leftSection={<IconX size={16} aria-hidden />} onClick={onRemove}>
          Remove from collection
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
