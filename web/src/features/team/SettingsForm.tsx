// Name, pickle files, quota and kept versions: a form for admins, a summary for others.

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
import { api, unwrap } from '@/api/client'
import { usePermissions } from '@/api/permissions'
import { asProblem } from '@/api/problem'
import { loadUser } from '@/api/session'
import type { Team } from '@/api/types'
import { TEAM_QUERY_KEY } from '@/api/useTeam'
import { formatBytes, formatCount, formatDay } from '@/components/format'
import { notify, notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { type Amount, toAmount, toBytes, type Unit } from '@/features/team/quota'
import { DEFAULT_TRASH_DAYS } from '@/generated/durations'
import { MAX_NAME_LENGTH } from '@/generated/fieldLimits'
import { PICKLE_EXTENSIONS } from '@/generated/formats'

type Edits = Partial<
  Pick<
    Team,
    | 'display_name'
    | 'pickle_policy'
    | 'quota_bytes'
    | 'kept_versions'
    | 'kept_version_days'
    | 'machines_may_request'
    | 'hub_may_import'
  >
>

// `.ckpt, .pt and .bin`: British English has no comma before the last one.
const PICKLE_NAMES = new Intl.ListFormat('en-GB').format(PICKLE_EXTENSIONS)

const POLICIES = [
  {
    value: 'block' as const,
    label: 'Refuse them',
    description: `Files with ${PICKLE_NAMES} can run any code when they are loaded. The safest choice and the default.`,
  },
  {
    value: 'scan' as const,
    label: 'Accept them if a scan finds nothing',
    description:
      'The registry inspects each file in a sandbox and refuses what it does not know to be harmless. Accepted files are ' +
      'marked as scanned, which is no guarantee: a scan can miss something.',
  },
  {
    value: 'trusted' as const,
    label: 'Accept them if a scan finds nothing, or an admin allows the file',
    description:
      'Like the scan. An admin may also allow single files that the scan has refused, after seeing what it found and ' +
      'with a reason. Loading such a file can run code on machines.',
  },
  {
    value: 'convert' as const,
    label: 'Keep them only to convert them',
    description:
      'Pickle files can be uploaded but never reach machines: each can be converted to a .safetensors model with equal ' +
      'tensors, by a reader that runs no code of the file.',
  },
]

export function Storage({ team }: { team: Team }) {
  const { may } = usePermissions()
  const share = team.quota_bytes ? Math.min(100, (100 * team.stored_bytes) / team.quota_bytes) : undefined
  const words =
    team.quota_bytes === null
      ? `${formatBytes(team.stored_bytes)} used, without a limit.`
      : `${formatBytes(team.stored_bytes)} of ${formatBytes(team.quota_bytes)} used.`
  return (
    <Panel title="Storage">
      <Text>{words}</Text>
      {share !== undefined && (
        <Progress value={share} color={share > 90 ? 'red' : 'yard'} aria-label="Share of the quota in use" />
      )}
      {team.quota_bytes !== null && team.stored_bytes > team.quota_bytes && (
        <Text size="sm" c="red" role="status">
          {formatBytes(team.stored_bytes - team.quota_bytes)} more than the quota, so new content is refused. Delete
          models, or {may('team_change') ? 'raise the quota' : 'ask an admin to raise the quota'}. Space is free when
          the trash is emptied, {formatCount(DEFAULT_TRASH_DAYS, 'day')} after a deletion unless the operator has set
          another time. Nothing is removed by itself, and machines keep their models.
        </Text>
      )}
      <Text size="sm" c="dimmed">
        The same file under several names counts once. The team was created on {formatDay(team.created_at)}.
      </Text>
    </Panel>
  )
}

export function SettingsSummary({ team }: { team: Team }) {
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
      <Text>
        Older versions of models: the newest {team.kept_versions} are kept, and all for{' '}
        {formatCount(team.kept_version_days, 'day')}.
      </Text>
      <Text>Machines {team.machines_may_request ? 'may' : 'may not'} request models that their users need.</Text>
      <Text>Clients of Hugging Face {team.hub_may_import ? 'may' : 'may not'} import what the team does not have.</Text>
      <Text size="sm" c="dimmed">
        Only admins can change these settings.
      </Text>
    </Panel>
  )
}

/** Only what was edited is sent, so that two admins do not undo each other's changes. */
export function SettingsForm({ team }: { team: Team }) {
  const cache = useQueryClient()
  const [edits, setEdits] = useState<Edits>({})
  const { display_name, pickle_policy, quota_bytes, machines_may_request, hub_may_import, ...retention } = {
    ...team,
    ...edits,
  }
  const set = (some: Edits) => setEdits(getChanges({ ...edits, ...some }, team))
  const save = useMutation({
    // Absent fields stay as they are; the generated type has the defaults of all.
    mutationFn: (body: Edits) => unwrap(api.PUT('/api/v1/teams/current', { body })),
    onSuccess: async (_, sent) => {
      notify('The settings are saved.')
      await Promise.all([cache.invalidateQueries({ queryKey: TEAM_QUERY_KEY }), loadUser()])
      // Keep edits that were made while saving.
      setEdits((now) => getChanges(now, sent))
    },
    onError: (error) => asProblem(error).fields.display_name || notifyError(error),
  })
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    const sent = getChanges({ ...edits, display_name: display_name.trim() }, team)
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
            maxLength={MAX_NAME_LENGTH}
            value={display_name}
            error={save.error ? asProblem(save.error).fields.display_name : undefined}
            onChange={(event) => set({ display_name: event.currentTarget.value })}
          />
          <Radio.Group
            label="Pickle files"
            value={pickle_policy}
            onChange={(value) => set({ pickle_policy: POLICIES.find((one) => one.value === value)?.value ?? 'block' })}
          >
            <Stack gap="xs" mt="xs">
              {POLICIES.map(({ value, label, description }) => (
                <Radio key={value} value={value} label={label} description={description} />
              ))}
            </Stack>
          </Radio.Group>
          <Quota key={team.quota_bytes} value={quota_bytes} onChange={(bytes) => set({ quota_bytes: bytes })} />
          <Retention {...retention} onChange={set} />
          <Switch
            label="Machines may request models"
            description="A user of a paired machine can fetch any model of the team there, for instance from ComfyUI, without an account."
            checked={machines_may_request}
            onChange={(event) => set({ machines_may_request: event.currentTarget.checked })}
          />
          <Switch
            label="Clients of Hugging Face may import"
            description="A file that such a client asks the registry for, and that the team does not have, is imported from Hugging Face for those who may import."
            checked={hub_may_import}
            onChange={(event) => set({ hub_may_import: event.currentTarget.checked })}
          />
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

/** Return the edits that differ from `base`. */
function getChanges(edits: Edits, base: Edits): Edits {
  return Object.fromEntries(Object.entries(edits).filter(([name, value]) => value !== base[name as keyof Edits]))
}

function Quota({ value, onChange }: { value: number | null; onChange: (bytes: number | null) => void }) {
  const [amount, setAmount] = useState<Amount>(value === null ? { number: 1, unit: 'TB' } : toAmount(value))
  const change = (next: Amount) => {
    setAmount(next)
    onChange(toBytes(next))
  }
  return (
    <Stack gap="xs">
      <Switch
        label="Limit the storage of the team"
        checked={value !== null}
        onChange={(event) => onChange(event.currentTarget.checked ? toBytes(amount) : null)}
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
            // An empty field must not become a limit of 0.
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

// The label and the description may be longer than the field.
const SHORT_INPUT = { wrapper: { maxWidth: 140 } }
const MAX_KEPT_VERSIONS = 1_000
const MAX_KEPT_VERSION_DAYS = 36_500

interface RetentionProps extends Pick<Team, 'kept_versions' | 'kept_version_days'> {
  onChange: (edits: Edits) => void
}

function Retention({ kept_versions, kept_version_days, onChange }: RetentionProps) {
  // Without decimals and within the limits; an empty field keeps the last value.
  const number = { hideControls: true, allowDecimal: false, allowNegative: false } as const
  return (
    <Stack gap="xs">
      <NumberInput
        {...number}
        label="Kept versions"
        description="How many of the newest versions of each model are kept, 1 to 1,000"
        styles={SHORT_INPUT}
        min={1}
        max={MAX_KEPT_VERSIONS}
        clampBehavior="blur"
        value={kept_versions}
        onChange={(value) => Number(value) >= 1 && onChange({ kept_versions: Number(value) })}
      />
      <NumberInput
        {...number}
        label="Days for which all versions are kept"
        description="Older versions that are not among the newest are then removed. The current version, one that is being verified, and the newest verified one always stay."
        styles={SHORT_INPUT}
        min={0}
        max={MAX_KEPT_VERSION_DAYS}
        clampBehavior="blur"
        value={kept_version_days}
        onChange={(value) => value !== '' && onChange({ kept_version_days: Number(value) })}
      />
    </Stack>
  )
}
