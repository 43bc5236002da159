// Which machines should have a model, and how far each is; asked for again as long as something moves.

import { Progress, Stack, Text } from '@mantine/core'
import {
  IconAlertTriangle,
  IconCircleCheck,
  IconClock,
  IconDownload,
  IconHandStop,
  IconZoomCheck,
  type TablerIcon,
} from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { answered, api } from '@/api/client'
import type { AgentModel, Model } from '@/api/types'
import { Failed } from '@/parts/states'
import { bytes, count } from '@/parts/words'
import { Section } from '@/views/models/details/Section'
import classes from '@/views/models/models.module.css'
import { Sign } from '@/views/models/State'

const MOST_SHOWN = 100
const MOVING_MILLISECONDS = 2_000
const STILL_MILLISECONDS = 10_000

const STATES: Record<AgentModel['state'], { word: string; icon: TablerIcon; className: string | undefined }> = {
  wanted: { word: 'Waits for it', icon: IconClock, className: classes.waiting },
  downloading: { word: 'Fetches it', icon: IconDownload, className: classes.waiting },
  verifying: { word: 'Checks it', icon: IconZoomCheck, className: classes.waiting },
  ready: { word: 'Has it', icon: IconCircleCheck, className: classes.good },
  conflict: { word: 'Another file is in its place', icon: IconAlertTriangle, className: classes.bad },
  blocked: { word: 'Cannot take it', icon: IconHandStop, className: classes.bad },
  failed: { word: 'Failed', icon: IconAlertTriangle, className: classes.bad },
}

export function Machines({ model }: { model: Model }) {
  const { data, error, refetch } = useQuery({
    queryKey: ['models', 'machines', model.id, model.model_status, model.verification],
    queryFn: ({ signal }) =>
      answered(
        api.GET('/api/v1/models/{model_id}/agents', {
          params: { path: { model_id: model.id }, query: { per_page: MOST_SHOWN } },
          signal,
        }),
      ),
    refetchInterval: ({ state }) =>
      state.data?.agent_model_list.some(isMoving) ? MOVING_MILLISECONDS : STILL_MILLISECONDS,
  })
  const machines = data?.agent_model_list ?? []
  const total = data?.page_meta.total_count ?? machines.length
  return (
    <Section title="Machines">
      {error && !data && <Failed error={error} again={() => void refetch()} />}
      {data && machines.length === 0 && <NoMachine model={model} />}
      {machines.length > 0 && (
        <>
          <Text size="sm" c="dimmed" role="status" mb={6}>
            {machines.filter((one) => one.state === 'ready').length} of {count(machines.length, 'machine')} have it.
          </Text>
          <Stack component="ul" gap={0} className={classes.plain ?? ''}>
            {machines.map((one) => (
              <Machine key={one.agent_id} {...one} />
            ))}
          </Stack>
        </>
      )}
      {total > machines.length && <Text size="sm">and {count(total - machines.length, 'more', 'more')}</Text>}
    </Section>
  )
}

function isMoving({ state }: AgentModel): boolean {
  return ['wanted', 'downloading', 'verifying'].includes(state)
}

function Machine({ agent_id, state, reason, bytes_done, file_size }: AgentModel) {
  const { word, icon, className } = STATES[state]
  const isUnderWay = state === 'downloading' || state === 'verifying'
  const percent = file_size ? (100 * bytes_done) / file_size : 0
  return (
    <li className={classes.machine}>
      <Link to="/machines" search={{ machine: agent_id }} className={classes.name} preload={false}>
        <bdi>{agent_id}</bdi>
      </Link>
      <div>
        <Sign icon={icon} word={word} className={className} />
        {reason && (
          <Text size="sm" c="dimmed" mt={2}>
            <bdi>{reason}</bdi>
          </Text>
        )}
        {isUnderWay && (
          <>
            <Progress value={percent} mt={4} aria-label={`${word}: ${agent_id}`} />
            <Text size="xs" c="dimmed">
              {bytes(bytes_done)} of {bytes(file_size)}
            </Text>
          </>
        )}
      </div>
    </li>
  )
}

function NoMachine({ model }: { model: Model }) {
  return (
    <Text size="sm" c="dimmed">
      {model.model_status === 'disabled'
        ? 'It is disabled, so no machine should have it.'
        : model.verification === 'pending'
          ? 'None yet: machines get it once it is verified.'
          : model.required_labels.length
            ? `No machine has all of its labels: ${model.required_labels.join(', ')}.`
            : 'No machine is paired with this team yet.'}
    </Text>
  )
}
