// Name, pickle files and quota: a form for admins, plain facts for the others.

import {
  Button,
  Group,
  NativeSelect,
  NumberInput,
  Progress,
  Radio,
  Stack,
  Switch,
  Text,
  TextInput,
} from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { answered, api } from '@/api/client'
import { asProblem } from '@/api/problem'
import { learnWhoIAm } from '@/api/session'
import type { Team } from '@/api/types'
import { TEAM } from '@/api/useTeam'
import { failed, said } from '@/parts/notify'
import { Panel } from '@/parts/Panel'
import { bytes, day } from '@/parts/words'
import { type Amount, amountOf, bytesOf, type Unit } from '@/views/team/quota'

type Edits = Partial<Pick<Team, 'display_name' | 'pickle_policy' | 'quota_bytes'>>

const POLICIES = [
  {
    value: 'block' as const,
    label: 'Refuse them',
    description: 'Files of .ckpt, .pt, .pth, .bin and .pkl can run any code when they are loaded. Safest, and usual.',
  },
  {
    value: 'scan' as const,
    label: 'Let them in when a scan finds nothing',
    description:
      'The registry opens each one in a cage and refuses what it does not know to be harmless. What passes is labelled ' +
      'as scanned, not blessed: a scan can miss something.',
  },
]

export function Storage({ team }: { team: Team }) {
  const share = team.quota_bytes ? Math.min(100, (100 * team.stored_bytes) / team.quota_bytes) : undefined
  const words =
    team.quota_bytes === null
      ? `${bytes(team.stored_bytes)} used, without a limit.`
      : `${bytes(team.stored_bytes)} of ${bytes(team.quota_bytes)} used.`
  return (
    <Panel title="Storage">
      <Text>{words}</Text>
      {share !== undefined && (
        <Progress value={share} color={share > 90 ? 'red' : 'cyan'} aria-label="Share of the quota in use" />
      )}
      <Text size="sm" c="dimmed">
        The same bytes under several names count once. The team was made on {day(team.created_at)}.
      </Text>
    </Panel>
  )
}

export function Facts({ team }: { team: Team }) {
  const policy = POLICIES.find((one) => one.value === team.pickle_policy)
  return (
    <Panel title="General">
      <Text>
        Name: <bdi>{team.display_name}</bdi>
      </Text>
      <Text>Pickle files: {policy?.label}.</Text>
      <Text size="sm" c="dimmed">
        {policy?.description}
      </Text>
      <Text size="sm" c="dimmed">
        Admins change these settings.
      </Text>
    </Panel>
  )
}

/** Only what was edited is sent, so that two admins do not undo each other's changes. */
export function SettingsForm({ team }: { team: Team }) {
  const cache = useQueryClient()
  const [edits, setEdits] = useState<Edits>({})
  const { display_name, pickle_policy, quota_bytes } = { ...team, ...edits }
  const set = (some: Edits) => setEdits(changesOf({ ...edits, ...some }, team))
  const save = useMutation({
    // Absent fields stay as they are; the generated type has the defaults of all.
    mutationFn: (body: Edits) => answered(api.PUT('/api/v1/teams/current', { body: body as Required<Edits> })),
    onSuccess: async (_, sent) => {
      said('The settings are saved.')
      await Promise.all([cache.invalidateQueries({ queryKey: TEAM }), learnWhoIAm()])
      // What was typed meanwhile is still to be saved.
      setEdits((now) => changesOf(now, sent))
    },
    onError: (error) => asProblem(error).fields.display_name || failed(error),
  })
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    const sent = changesOf({ ...edits, display_name: display_name.trim() }, team)
    setEdits(sent)
    save.mutate(sent)
  }
  return (
    <Panel title="General">
      <form onSubmit={onSubmit}>
        <Stack>
          <TextInput
            label="Name"
            required
            maxLength={100}
            value={display_name}
            error={save.error ? asProblem(save.error).fields.display_name : undefined}
            onChange={(event) => set({ display_name: event.currentTarget.value })}
          />
          <Radio.Group
            label="Pickle files"
            value={pickle_policy}
            onChange={(value) => set({ pickle_policy: value === 'scan' ? 'scan' : 'block' })}
          >
            <Stack gap="xs" mt="xs">
              {POLICIES.map(({ value, label, description }) => (
                <Radio key={value} value={value} label={label} description={description} />
              ))}
            </Stack>
          </Radio.Group>
          <Quota key={team.quota_bytes} value={quota_bytes} onChange={(bytes) => set({ quota_bytes: bytes })} />
          <Group>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Panel>
  )
}

/** Of these edits, what is not so in `base` already: the team, or what was sent. */
function changesOf(edits: Edits, base: Edits): Edits {
  return Object.fromEntries(Object.entries(edits).filter(([name, value]) => value !== base[name as keyof Edits]))
}

function Quota({ value, onChange }: { value: number | null; onChange: (bytes: number | null) => void }) {
  const [amount, setAmount] = useState<Amount>(value === null ? { number: 1, unit: 'TB' } : amountOf(value))
  const change = (next: Amount) => {
    setAmount(next)
    onChange(bytesOf(next))
  }
  return (
    <Stack gap="xs">
      <Switch
        label="Limit what the team may store"
        checked={value !== null}
        onChange={(event) => onChange(event.currentTarget.checked ? bytesOf(amount) : null)}
      />
      {value !== null && (
        <Group gap="xs" align="flex-end">
          <NumberInput
            label="At most"
            w={140}
            min={0.001}
            max={1_000_000}
            decimalScale={3}
            hideControls
            value={amount.number}
            // An empty field is no limit of nothing.
            onChange={(number) => Number(number) > 0 && change({ ...amount, number: Number(number) })}
          />
          <NativeSelect
            aria-label="Unit"
            w={80}
            data={['GB', 'TB']}
            value={amount.unit}
            onChange={(event) => change({ ...amount, unit: event.currentTarget.value as Unit })}
          />
        </Group>
      )}
    </Stack>
  )
}
