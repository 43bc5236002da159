// The model that was chosen, in its details, for a new version.

import { Alert, Button, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { usePermissions } from '@/api/permissions'
import { asProblem } from '@/api/problem'
import type { Model } from '@/api/types'
import { isDamaged } from '@/features/models/refusals'
import { getModel } from '@/features/upload/engine/requests'
import { ModelLink } from '@/features/upload/ModelLink'

/** Query the model with this id; idle without one. */
export function useTargetModel(teamId: string, modelId: string | undefined) {
  const { mayChange } = usePermissions()
  const query = useQuery({
    queryKey: ['upload', 'model', teamId, modelId],
    queryFn: () => getModel(teamId, modelId ?? ''),
    enabled: modelId !== undefined,
  })
  const model = modelId !== undefined && query.data && mayChange(query.data) ? query.data : undefined
  return { data: model, error: query.error, isError: query.isError || (query.isSuccess && !model) }
}

interface TargetProps {
  onLeave: () => void
}

export function TargetNotice({ model, onLeave }: TargetProps & { model: Model }) {
  const what = model.is_folder ? 'folder' : 'file'
  return (
    <Alert color="yard" title="New version">
      <Stack gap="xs" align="flex-start">
        <Text size="sm" component="div">
          Choose or drop one {what}. It becomes the next version of{' '}
          <ModelLink id={model.id}>
            <bdi>{model.display_name}</bdi>
          </ModelLink>
          , and machines get it once it is verified.
          {isDamaged(model) && ` The correct ${what} repairs version ${model.version}.`}
        </Text>
        <Button variant="default" size="compact-sm" onClick={onLeave}>
          Upload other models
        </Button>
      </Stack>
    </Alert>
  )
}

export function TargetError({ error, onLeave }: TargetProps & { error: unknown }) {
  return (
    <Alert color="red" role="alert" title="This model cannot get a new version">
      <Stack gap="xs" align="flex-start">
        <Text size="sm">
          {error ? asProblem(error).message : 'Only an admin or the person who registered it can upload a new version.'}
        </Text>
        <Button variant="default" size="compact-sm" onClick={onLeave}>
          Upload other models
        </Button>
      </Stack>
    </Alert>
  )
}
