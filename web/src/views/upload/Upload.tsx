// Uploading: what was dropped and waits for a yes, what is on its way, and what an earlier visit left unfinished.

import { Alert, Stack, Text } from '@mantine/core'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import { useSession } from '@/api/session'
import { useTeam } from '@/api/useTeam'
import { Heading } from '@/parts/Heading'
import { failed } from '@/parts/notify'
import { Empty } from '@/parts/states'
import { count } from '@/parts/words'
import { draft } from '@/uploading/drafting'
import { type Picked, type Selection, selected } from '@/uploading/picking'
import { SUFFIXES } from '@/uploading/placing'
import { useItems } from '@/uploading/state'
import { Drafts } from '@/views/upload/Drafts'
import { DropZone } from '@/views/upload/DropZone'
import { Transfers } from '@/views/upload/Transfers'
import { Unfinished } from '@/views/upload/Unfinished'

export function Upload() {
  const { may } = usePermissions()
  return (
    <>
      <Heading title="Upload" />
      {may('upload') ? (
        <Uploading />
      ) : (
        <Empty title="Viewers cannot upload">Ask an admin of the team to make you a member.</Empty>
      )}
    </>
  )
}

function Uploading() {
  const whose = useWhose()
  const items = useItems().filter((one) => one.teamId === whose.teamId)
  const drafts = items.filter(({ stage }) => stage === 'reading' || stage === 'draft')
  const transfers = items.filter((one) => !drafts.includes(one))
  const [selection, setSelection] = useState<Selection>()
  const team = useTeam()
  const take = (files: Picked[]) => {
    const found = selected(files)
    setSelection(found)
    draft(found.models, whose).catch(failed)
  }
  return (
    <Stack gap="lg">
      <DropZone isSmall={items.length > 0} onFiles={take} />
      {selection && <LeftOut selection={selection} onClose={() => setSelection(undefined)} />}
      {drafts.length > 0 && <Drafts drafts={drafts} items={items} team={team.data} />}
      {transfers.length > 0 && <Transfers items={transfers} />}
      <Unfinished whose={whose} items={items} />
    </Stack>
  )
}

function useWhose() {
  const session = useSession()
  if (session.state !== 'signed-in') return { teamId: '', userId: '' }
  return { teamId: session.team?.id ?? '', userId: session.me.id }
}

function LeftOut({ selection: { models, leftOut }, onClose }: { selection: Selection; onClose: () => void }) {
  const left = [...leftOut.values()].reduce((sum, one) => sum + one, 0)
  if (left === 0) return null
  const title =
    models.length > 0 ? `${count(left, 'file')} left out: no models` : 'There is no model in what you picked'
  return (
    <Alert
      color={models.length > 0 ? 'gray' : 'yellow'}
      title={title}
      withCloseButton
      onClose={onClose}
      closeButtonLabel="Close"
    >
      <Text size="sm">
        {[...leftOut].map(([why, number]) => `${number.toLocaleString('en')} ${why}`).join(', ')}. Models are{' '}
        {SUFFIXES.join(' ')}
      </Text>
    </Alert>
  )
}
