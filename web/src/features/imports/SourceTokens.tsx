// The tokens that imports send to sources, in the settings of the team: list, set and remove. They are never shown.

import { Alert, Button, Group, PasswordInput, Stack, Text, TextInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, type ReactNode, useState } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import type { SourceToken } from '@/api/types'
import { Confirm } from '@/components/Confirm'
import { type Column, DataTable } from '@/components/DataTable'
import { formatDay } from '@/components/format'
import { notify, notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { LoadError, Loading } from '@/components/placeholders'
import { RowButton } from '@/components/RowButton'

const TOKENS_QUERY_KEY = ['source tokens']

const STATES: Record<SourceToken['token_state'], ReactNode> = {
  used: 'in use',
  unreadable: <Text c="red">unreadable: set it again</Text>,
  off: 'off: no key',
}

export function SourceTokens() {
  const tokens = useQuery({
    queryKey: TOKENS_QUERY_KEY,
    queryFn: ({ signal }) => unwrap(api.GET('/api/v1/source-tokens', { signal })),
  })
  return (
    <Panel title="Tokens of sources">
      <Text size="sm" c="dimmed">
        Imports send a token to its exact host only, for models that are gated, private or in early access. All members
        import with it, so use one that can only read. It is stored encrypted and never shown again.
      </Text>
      {tokens.isPending && <Loading label="Loading the tokens" />}
      {tokens.isError && !tokens.data && <LoadError error={tokens.error} onRetry={() => void tokens.refetch()} />}
      {tokens.data && !tokens.data.is_enabled && (
        <Alert color="yellow" title="Tokens are off">
          The operator of this registry has set no key that encrypts them: MODELYARD_SECRETS_KEY or
          MODELYARD_SECRETS_KEY_FILE.
        </Alert>
      )}
      {tokens.data && tokens.data.source_token_list.length > 0 && <TokenTable tokens={tokens.data.source_token_list} />}
      {tokens.data?.is_enabled && <TokenForm />}
    </Panel>
  )
}

function TokenTable({ tokens }: { tokens: SourceToken[] }) {
  const cache = useQueryClient()
  const [removing, setRemoving] = useState<SourceToken>()
  const remove = useMutation({
    mutationFn: ({ host }: SourceToken) =>
      unwrap(api.DELETE('/api/v1/source-tokens/{host}', { params: { path: { host } } })),
    onSuccess: (_, { host }) => notify(`The token for ${host} is removed.`),
    onError: notifyError,
    onSettled: async () => {
      setRemoving(undefined)
      await cache.invalidateQueries({ queryKey: TOKENS_QUERY_KEY })
    },
  })
  const columns: Column<SourceToken>[] = [
    { title: 'Host', cell: ({ host }) => <bdi>{host}</bdi> },
    { title: 'Set by', cell: ({ set_by }) => <bdi>{set_by.display_name}</bdi> },
    { title: 'Set', isShort: true, cell: ({ set_at }) => formatDay(set_at) },
    {
      title: 'State',
      isShort: true,
      cell: ({ token_state }) => STATES[token_state],
    },
    {
      title: 'Actions',
      isLast: true,
      cell: (token) => (
        <RowButton verb="Remove" label={`Remove the token for ${token.host}`} onClick={() => setRemoving(token)} />
      ),
    },
  ]
  return (
    <>
      <DataTable label="Tokens of sources" columns={columns} rows={tokens} keyOf={({ host }) => host} />
      <Confirm
        title="Remove this token?"
        verb="Remove"
        isOpen={removing !== undefined}
        isBusy={remove.isPending}
        onConfirm={() => removing && remove.mutate(removing)}
        onClose={() => setRemoving(undefined)}
      >
        Imports from <bdi>{removing?.host}</bdi> get only what is for everybody then. The token stays valid at the
        source.
      </Confirm>
    </>
  )
}

function TokenForm() {
  const cache = useQueryClient()
  const [host, setHost] = useState('')
  const [token, setToken] = useState('')
  const save = useMutation({
    mutationFn: () =>
      unwrap(
        api.PUT('/api/v1/source-tokens/{host}', {
          params: { path: { host: readHost(host) } },
          body: { token: token.trim() },
        }),
      ),
    onSuccess: async () => {
      notify(`Imports send the token to ${readHost(host)}.`)
      setHost('')
      setToken('')
      await cache.invalidateQueries({ queryKey: TOKENS_QUERY_KEY })
    },
    onError: (error) => Object.keys(asProblem(error).fields).length || notifyError(error),
  })
  const fields = save.error ? asProblem(save.error).fields : {}
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    save.mutate()
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack gap="sm">
        <TextInput
          label="Host"
          placeholder="huggingface.co"
          required
          maxLength={259}
          value={host}
          error={fields.host}
          onChange={(event) => setHost(event.currentTarget.value)}
        />
        <PasswordInput
          label="Token"
          required
          autoComplete="off"
          maxLength={2000}
          value={token}
          error={fields.token}
          onChange={(event) => setToken(event.currentTarget.value)}
        />
        <Group>
          <Button type="submit" loading={save.isPending} disabled={host !== '' && readHost(host) === ''}>
            Set token
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

/** Return the host of what was typed, which may be the address of a page. */
function readHost(typed: string): string {
  return typed
    .trim()
    .replace(/^https?:\/\//i, '')
    .replace(/[/?#].*$/, '')
}
