// The team's own table of custom nodes that load models, in the settings of the team: list, add and remove.

import { Autocomplete, Button, Group, Stack, Text, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { asProblem } from '@/api/problem'
import type { LoaderInput, Team } from '@/api/types'
import { TEAM_QUERY_KEY } from '@/api/useTeam'
import { type Column, DataTable } from '@/components/DataTable'
import { FirstRows } from '@/components/FirstRows'
import { notify, notifyError, notifyUntilClosed } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { MAX_MODEL_TYPE_LENGTH, MAX_NODE_NAME_LENGTH } from '@/generated/fieldLimits'
import { MODEL_TYPES, NODE_FOLDERS } from '@/generated/modelTypes'

const EMPTY: LoaderInput = { node_type: '', input: '', folder: '' }
type FieldErrors = Partial<LoaderInput>

const FOLDERS = [...MODEL_TYPES, ...NODE_FOLDERS]

export function TeamLoaders({ team }: { team: Team }) {
  const mayChange = usePermissions().may('team_change')
  return (
    <Panel title="Custom nodes that load models">
      <Text size="sm" c="dimmed">
        In checks of workflows, these inputs name models of the folder. The registry knows the nodes of ComfyUI and
        well-known custom ones, and machines report theirs. Add a node that no machine has yet, or whose folder no
        machine reports.
      </Text>
      {team.loader_list.length > 0 ? (
        <LoaderTable loaders={team.loader_list} mayChange={mayChange} />
      ) : (
        <Text size="sm">The team has added none.</Text>
      )}
      {mayChange && <LoaderForm loaders={team.loader_list} />}
    </Panel>
  )
}

interface LoaderChange {
  /** As it was shown: the registry refuses the change if it has another table by now. */
  before: LoaderInput[]
  after: LoaderInput[]
}

function useChangeLoaders(findFields: (error: Error, change: LoaderChange) => FieldErrors = () => ({})) {
  const cache = useQueryClient()
  return useMutation({
    mutationFn: ({ before, after }: LoaderChange) =>
      unwrap(api.PUT('/api/v1/teams/current', { body: { loader_list: after, expected_loader_list: before } })),
    onError: (error, change) => {
      if (asProblem(error).is('loaders_changed')) {
        return notifyUntilClosed('Another admin has changed this table. Check what it has now, then try again.')
      }
      if (Object.keys(findFields(error, change)).length === 0) notifyError(error)
    },
    onSettled: () => cache.invalidateQueries({ queryKey: TEAM_QUERY_KEY }),
  })
}

function LoaderTable({ loaders, mayChange }: { loaders: LoaderInput[]; mayChange: boolean }) {
  const change = useChangeLoaders()
  const remove = (removed: LoaderInput) =>
    change.mutate(
      { before: loaders, after: loaders.filter((one) => one !== removed) },
      { onSuccess: () => notify(`“${removed.input}” of “${removed.node_type}” is removed.`) },
    )
  const columns: Column<LoaderInput>[] = [
    { title: 'Node', cell: ({ node_type }) => <bdi>{node_type}</bdi> },
    { title: 'Input', cell: ({ input }) => <bdi>{input}</bdi> },
    { title: 'Folder', cell: ({ folder }) => <bdi>{folder}</bdi> },
  ]
  const actions: Column<LoaderInput> = {
    title: 'Actions',
    isLast: true,
    cell: (loader) => (
      <Button
        size="compact-sm"
        variant="subtle"
        color="gray"
        aria-label={`Remove ${loader.input} of ${loader.node_type}`}
        disabled={change.isPending}
        onClick={() => remove(loader)}
      >
        Remove
      </Button>
    ),
  }
  return (
    <FirstRows rows={loaders}>
      {(shown) => (
        <DataTable
          label="Custom nodes that load models"
          columns={mayChange ? [...columns, actions] : columns}
          rows={shown}
          keyOf={({ node_type, input }) => JSON.stringify([node_type, input])}
        />
      )}
    </FirstRows>
  )
}

function LoaderForm({ loaders }: { loaders: LoaderInput[] }) {
  const [typed, setTyped] = useState(EMPTY)
  const change = useChangeLoaders(findFieldErrors)
  const fields = change.error && change.variables ? findFieldErrors(change.error, change.variables) : {}
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    const added = {
      node_type: typed.node_type.trim(),
      input: typed.input.trim(),
      folder: typed.folder.trim(),
    }
    const after = [...loaders.filter((one) => !isSameInput(one, added)), added]
    change.mutate(
      { before: loaders, after },
      {
        onSuccess: () => {
          notify(`“${added.input}” of “${added.node_type}” names models of the folder “${added.folder}”.`)
          setTyped(EMPTY)
        },
      },
    )
  }
  const textOf = (name: 'node_type' | 'input') => ({
    required: true,
    maxLength: MAX_NODE_NAME_LENGTH,
    value: typed[name],
    error: fields[name],
    onChange: (event: { currentTarget: { value: string } }) =>
      setTyped({ ...typed, [name]: event.currentTarget.value }),
  })
  return (
    <form onSubmit={onSubmit}>
      <Stack gap="sm">
        <TextInput
          {...textOf('node_type')}
          label="Node"
          description="Its class, as workflows name it, such as StyleLoader"
        />
        <TextInput {...textOf('input')} label="Input" description="Which names a model, such as style_name" />
        <Autocomplete
          label="Folder"
          description="ComfyUI's key of the folder. Add an input again to change its folder."
          required
          data={FOLDERS}
          maxLength={MAX_MODEL_TYPE_LENGTH}
          value={typed.folder}
          error={fields.folder}
          onChange={(folder) => setTyped({ ...typed, folder })}
        />
        <Group>
          <Button type="submit" loading={change.isPending}>
            Add input
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

function isSameInput(one: LoaderInput, other: LoaderInput): boolean {
  return one.node_type === other.node_type && one.input === other.input
}

/** Return what is wrong with the fields of the last input, the one that was added. */
function findFieldErrors(error: Error, { after }: LoaderChange): FieldErrors {
  const prefix = `loader_list.${after.length - 1}.`
  const errors = Object.entries(asProblem(error).fields).filter(([field]) => field.startsWith(prefix))
  return Object.fromEntries(errors.map(([field, message]) => [field.slice(prefix.length), message]))
}
