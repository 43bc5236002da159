// Looks a link up, and shows what its import would register, to be confirmed.

import { Alert, Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core'
import { type ClipboardEvent, type FormEvent, useState } from 'react'
import { asProblem } from '@/api/problem'
import type { Model } from '@/api/types'
import { notify } from '@/components/notify'
import { Loading } from '@/components/placeholders'
import { DraftForm } from '@/features/imports/DraftForm'
import { useDraft } from '@/features/imports/queries'
import { MAX_SOURCE_URL_LENGTH } from '@/generated/fieldLimits'

interface AddFromLinkProps {
  link?: string
  /** Whether the link is looked up at once. */
  isLookedUp?: boolean
  /** The path at which a workflow loads the model. */
  neededPath?: string
  /** The model whose next version the file becomes. */
  replaces?: Model
  isOpen: boolean
  onClose: () => void
}

export function AddFromLink({ isOpen, onClose, ...lookup }: AddFromLinkProps) {
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title={lookup.replaces ? 'Import as next version' : 'Add from link'}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Lookup {...lookup} onClose={onClose} />
    </Modal>
  )
}

function Lookup({ link = '', isLookedUp = false, neededPath, replaces, onClose }: Omit<AddFromLinkProps, 'isOpen'>) {
  const [typed, setTyped] = useState(link)
  const [url, setUrl] = useState(isLookedUp ? link : '')
  // The files that were chosen among those of a repository or version; before, the one that the link is about.
  const [chosenUrls, setChosenUrls] = useState<string[]>()
  const found = useDraft(url)
  const chosen = chosenUrls ?? (found.data ? [found.data.url] : [])
  const fileUrl = chosen.length === 1 && chosen[0] !== found.data?.url ? (chosen[0] ?? '') : ''
  const other = useDraft(fileUrl)
  const current = fileUrl ? other : found
  const lookUp = (text: string) => {
    const next = text.trim()
    setChosenUrls(undefined)
    if (next !== '' && next === url) void found.refetch()
    setUrl(next)
  }
  const onStarted = (name: string) => {
    notify(`Importing “${name}”`)
    onClose()
  }
  return (
    <Stack>
      <LinkForm value={typed} isBusy={current.isFetching} onChange={setTyped} onLookUp={lookUp} />
      {current.isFetching && <Loading label="Looking the link up" />}
      {current.error && !current.isFetching && <Refusal error={current.error} />}
      {found.data && !found.isFetching && (
        <DraftForm
          key={found.data.url}
          found={found.data}
          draft={current.isFetching ? undefined : current.data}
          chosen={chosen}
          {...(neededPath && { neededPath })}
          {...(replaces && { replaces })}
          onChoose={setChosenUrls}
          onStarted={onStarted}
          onClose={onClose}
        />
      )}
    </Stack>
  )
}

interface LinkFormProps {
  value: string
  isBusy: boolean
  onChange: (text: string) => void
  onLookUp: (text: string) => void
}

function LinkForm({ value, isBusy, onChange, onLookUp }: LinkFormProps) {
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    onLookUp(value)
  }
  const onPaste = (event: ClipboardEvent<HTMLInputElement>) => {
    const text = event.clipboardData.getData('text').trim()
    // A link that is pasted into a text changes that text only.
    if (value !== '' || text === '') return
    event.preventDefault()
    onChange(text)
    onLookUp(text)
  }
  return (
    <form onSubmit={onSubmit}>
      <Group align="flex-end" gap="xs" wrap="nowrap">
        <TextInput
          flex={1}
          label="Link"
          description="A page or file at Hugging Face or Civitai, an AIR name, or any https address of a file"
          maxLength={MAX_SOURCE_URL_LENGTH}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value)}
          onPaste={onPaste}
          spellCheck={false}
          autoComplete="off"
          data-autofocus
        />
        <Button type="submit" variant="default" loading={isBusy} disabled={value.trim() === ''}>
          Look up
        </Button>
      </Group>
    </form>
  )
}

function Refusal({ error }: { error: Error }) {
  const { title, message, fields } = asProblem(error)
  return (
    <Alert color="red" title={title} role="alert">
      <Text size="sm">{[message, ...Object.values(fields)].join(' ')}</Text>
    </Alert>
  )
}
