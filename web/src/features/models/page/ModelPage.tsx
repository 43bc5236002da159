// The page of one model, with an address of its own.

import { Box, Stack, Title } from '@mantine/core'
import { useDocumentTitle } from '@mantine/hooks'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { type KeyboardEvent, useEffect, useRef, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { Ago } from '@/components/Ago'
import { formatBaseModel } from '@/components/baseModel'
import { isCharacterKey } from '@/components/characterKeys'
import { describeModelSize } from '@/components/modelSize'
import { formatModelType } from '@/components/modelType'
import { Empty, LoadError, Loading } from '@/components/placeholders'
import { Actions, MoreActions } from '@/features/models/details/Actions'
import { EditForm } from '@/features/models/details/EditForm'
import { Hashes } from '@/features/models/details/Hashes'
import { ModelHistory } from '@/features/models/details/ModelHistory'
import { StateNotices } from '@/features/models/details/StateNotices'
import { TrainingTags } from '@/features/models/facts/TrainingTags'
import { UseIt } from '@/features/models/facts/UseIt'
import { WhatItIs } from '@/features/models/facts/WhatItIs'
import { FolderFiles } from '@/features/models/folder/FolderFiles'
import { MachineReach, Status, Verification, VersionMarks } from '@/features/models/ModelState'
import classes from '@/features/models/page/modelPage.module.css'
import { PageBar } from '@/features/models/page/PageBar'
import { useNeighbours } from '@/features/models/page/useNeighbours'
import { PicturePanel } from '@/features/models/pictures/PicturePanel'
import { WhereItIs } from '@/features/models/places/WhereItIs'
import { isNotFound, useModel } from '@/features/models/queries'
import { Versions } from '@/features/models/versions/Versions'

const route = getRouteApi('/inside/models/$id')

export function ModelPage() {
  const { id } = route.useParams()
  const search = route.useSearch()
  const neighbours = useNeighbours(id, search)
  const navigate = useNavigate()
  const [editedId, setEditedId] = useState<string>()
  const isEdited = editedId === id
  const article = useRef<HTMLElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: for each model anew.
  useEffect(() => {
    // A form that was left is not opened again.
    setEditedId(undefined)
    // Announces the model, and lets the keys of the page work at once.
    article.current?.focus({ preventScroll: true })
  }, [id])
  const onKeyDown = (event: KeyboardEvent) => {
    const target = isCharacterKey(event, '[')
      ? neighbours.previous
      : isCharacterKey(event, ']')
        ? neighbours.next
        : undefined
    if (!target) return
    void navigate({ to: '/models/$id', params: { id: target.id }, search })
  }
  return (
    <article ref={article} tabIndex={-1} className={classes.article} aria-label="Model" onKeyDown={onKeyDown}>
      <PageBar search={search} neighbours={neighbours}>
        {!isEdited && (
          <PageMenu id={id} onEdit={() => setEditedId(id)} onDeleted={() => void navigate({ to: '/models', search })} />
        )}
      </PageBar>
      <Content key={id} id={id} isEdited={isEdited} onEdited={() => setEditedId(undefined)} />
    </article>
  )
}

function PageMenu({ id, ...does }: { id: string; onEdit: () => void; onDeleted: () => void }) {
  const { data, isPlaceholderData } = useModel(id)
  return data && <MoreActions model={data.model} isFresh={!isPlaceholderData} {...does} />
}

interface ContentProps {
  id: string
  isEdited: boolean
  onEdited: () => void
}

function Content({ id, isEdited, onEdited }: ContentProps) {
  const { data, error, refetch, isPlaceholderData } = useModel(id)
  useDocumentTitle(`${data?.model.display_name ?? 'Model'} · Modelyard`)
  if (error && isNotFound(error)) {
    return <Empty title="Model not found">It was deleted, or it belongs to another team.</Empty>
  }
  if (error && !data) return <LoadError error={error} onRetry={() => void refetch()} />
  if (!data) return <Loading label="Loading the model" />
  if (isEdited && !isPlaceholderData) {
    return (
      <div className={classes.form}>
        <Title order={1} size="h1" mb="md">
          Edit <bdi>{data.model.display_name}</bdi>
        </Title>
        <EditForm start={data} onClose={onEdited} />
      </div>
    )
  }
  return <Record model={data.model} />
}

function Record({ model }: { model: Model }) {
  const { may } = usePermissions()
  return (
    <div className={classes.columns}>
      <div className={classes.picture}>
        <PicturePanel model={model} />
      </div>
      <header className={classes.head}>
        <div>
          <Title order={1} size="h1">
            <bdi>{model.display_name}</bdi>
          </Title>
          <Summary model={model} />
        </div>
        <Actions model={model} />
      </header>
      <Stack className={classes.main ?? ''} gap="lg">
        <StateNotices model={model} />
        <UseIt model={model} />
        <WhereItIs model={model} />
        <FolderFiles model={model} />
        <Versions model={model} />
        {may('audit_read') && <ModelHistory model={model} />}
      </Stack>
      <Stack className={classes.aside ?? ''} gap="lg">
        <WhatItIs model={model} />
        <TrainingTags model={model} />
        <Hashes model={model} />
      </Stack>
    </div>
  )
}

/** `LoRA · 218 MB · added by Mara, 2 hours ago`, and states that are not the normal ones; on a phone also its machines. */
function Summary({ model }: { model: Model }) {
  const { created_by: creator } = model
  return (
    <div className={classes.summary}>
      <span>
        {formatModelType(model.model_type)} · {model.base_model && <bdi>{formatBaseModel(model)} · </bdi>}
        {describeModelSize(model)} · added by <bdi>{creator.display_name}</bdi>
        {creator.kind === 'integration' && ' (a key)'}, <Ago time={model.created_at} />
      </span>
      {model.verification !== 'verified' && <Verification model={model} />}
      {model.model_status !== 'active' && <Status model={model} />}
      <VersionMarks model={model} />
      {model.agents_ready < model.agents_desired && (
        <Box hiddenFrom="sm">
          <MachineReach model={model} isSentence />
        </Box>
      )}
    </div>
  )
}
