// Pictures that were dropped without models: those whose name is that of a model of the team become its preview.

import { Alert, Button, Group, List, Loader, Stack, Text, Title } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import boxes from '@/components/boxedList.module.css'
import { formatCount } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { LoadError } from '@/components/placeholders'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { MAX_PICTURES, matchPictures, type PictureMatch, setPictures } from '@/features/upload/pictures/matchPictures'
import { PictureThumb } from '@/features/upload/pictures/PictureThumb'
import classes from '@/features/upload/pictures/pictures.module.css'

const ROWS_AT_ONCE = 60

interface PictureOffersProps {
  teamId: string
  pictures: PickedFile[]
  onClose: () => void
}

export function PictureOffers({ teamId, pictures, onClose }: PictureOffersProps) {
  const { mayChange } = usePermissions()
  const [isBusy, setBusy] = useState(false)
  const [failures, setFailures] = useState<string[]>([])
  const { data, error, refetch } = useQuery({
    queryKey: ['pictures', teamId, pictures.map(({ relativePath, file }) => [relativePath, file.lastModified])],
    queryFn: ({ signal }) => matchPictures(teamId, pictures, signal),
    // A look-up is many requests: once for each drop.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })
  const pairs = (data ?? []).flatMap(({ picture, models: [model, ...others] }) =>
    model && others.length === 0 && mayChange(model) ? [{ model, picture }] : [],
  )
  const onSet = async () => {
    setBusy(true)
    const failed = await setPictures(teamId, pairs)
    setBusy(false)
    if (failed.length === 0) onClose()
    else setFailures(failed)
  }
  return (
    <section aria-labelledby="pictures">
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h3" id="pictures">
            Pictures for models
          </Title>
          <Group gap="xs">
            <Button variant="subtle" color="gray" onClick={onClose}>
              Discard
            </Button>
            <Button disabled={pairs.length === 0} loading={isBusy} onClick={() => void onSet()}>
              {pairs.length === 0 ? 'Set pictures' : `Set ${formatCount(pairs.length, 'picture')}`}
            </Button>
          </Group>
        </Group>
        {pictures.length > MAX_PICTURES && (
          <Text size="sm">
            These are the first {MAX_PICTURES} of {formatCount(pictures.length, 'picture')}. Drop the others afterwards.
          </Text>
        )}
        {error && <LoadError error={error} onRetry={() => void refetch()} />}
        {!data && !error && <Loader size="sm" role="status" aria-label="Looking for the models of these names" />}
        {failures.length > 0 && (
          <Alert color="red" role="alert" title={`${formatCount(failures.length, 'picture')} could not be set`}>
            <List size="sm">
              {failures.map((text) => (
                <List.Item key={text}>{text}</List.Item>
              ))}
            </List>
          </Alert>
        )}
        {data && (
          <ul className={boxes.list}>
            {data.slice(0, ROWS_AT_ONCE).map((match) => (
              <MatchRow key={match.picture.relativePath} match={match} />
            ))}
          </ul>
        )}
        {data && data.length > ROWS_AT_ONCE && (
          <Text c="dimmed">and {formatCount(data.length - ROWS_AT_ONCE, 'more picture')}</Text>
        )}
      </Stack>
    </section>
  )
}

function MatchRow({ match: { picture, models } }: { match: PictureMatch }) {
  const { mayChange } = usePermissions()
  const [model, ...others] = models
  return (
    <li className={classes.row} aria-label={picture.file.name}>
      <PictureThumb file={picture.file} />
      <div className={classes.names}>
        <Text size="sm" fw={600}>
          <bdi>{picture.file.name}</bdi>
        </Text>
        <Text size="sm" c="dimmed" component="div">
          {!model ? (
            'No model has this name.'
          ) : others.length > 0 ? (
            `${models.length} models have this name: open one and drop the picture there.`
          ) : !mayChange(model) ? (
            'Only its uploader and admins may change this model.'
          ) : (
            <>
              {model.preview_url ? 'Replaces the picture of ' : 'Picture of '}
              <AnchorLink to="/models/$id" params={{ id: model.id }} search={{}} size="sm">
                <bdi>{model.display_name}</bdi>
              </AnchorLink>
            </>
          )}
        </Text>
      </div>
    </li>
  )
}
