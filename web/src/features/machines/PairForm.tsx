// The pairing form: the code, what pairing allows, and the next step.

import { Alert, Button, Stack, Text, TextInput } from '@mantine/core'
import { IconAlertTriangle, IconCheck } from '@tabler/icons-react'
import { type FormEvent, useState } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem, type Problem } from '@/api/problem'
import { useSession } from '@/api/session'
import { AnchorLink } from '@/components/links'
import { MAX_NAME_LENGTH, MAX_USER_CODE_LENGTH } from '@/generated/fieldLimits'

export function PairForm({ code = '', onDone }: { code?: string; onDone?: () => void }) {
  const [typed, setTyped] = useState(formatCode(code))
  const [refusal, setRefusal] = useState<Problem>()
  const [isBusy, setBusy] = useState(false)
  const [paired, setPaired] = useState<{ name: string; usedName: string | null }>()
  const onSubmit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const name = String(new FormData(event.currentTarget).get('name')).trim()
    setBusy(true)
    setRefusal(undefined)
    try {
      const body = { user_code: typed, ...(name && { device_name: name }) }
      const confirmed = await unwrap(api.POST('/api/v1/desktop/pair/confirm', { body }))
      setPaired({ name: name || typed, usedName: confirmed.is_name_in_use ? confirmed.agent_id : null })
    } catch (error) {
      setRefusal(asProblem(error))
    }
    setBusy(false)
  }
  if (paired !== undefined) return <Paired {...paired} onDone={onDone} />
  return (
    <form onSubmit={(event) => void onSubmit(event)}>
      <Stack>
        <TextInput
          label="Code shown by the machine"
          placeholder="AB7K-PNQ3"
          value={typed}
          onChange={(event) => setTyped(formatCode(event.currentTarget.value))}
          error={refusal?.fields.user_code ?? (refusal && !refusal.fields.device_name && refusal.message)}
          required
          autoComplete="off"
          autoCapitalize="characters"
          spellCheck={false}
          maxLength={MAX_USER_CODE_LENGTH}
          styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', letterSpacing: '0.15em' } }}
          data-autofocus
        />
        <TextInput
          name="name"
          label="Name"
          description="The machine's name if modelyard agent pair shows the code, and that of its key. Without it, the machine has its host name."
          placeholder="render-03"
          error={refusal?.fields.device_name}
          maxLength={MAX_NAME_LENGTH}
          autoComplete="off"
        />
        <AccessExplanation />
        <Button type="submit" loading={isBusy}>
          Pair machine
        </Button>
      </Stack>
    </form>
  )
}

/** `ab7kpnq3` → `AB7K-PNQ3`, as the machine shows it; the registry rejects invalid codes. */
function formatCode(typed: string): string {
  const code = typed.toUpperCase().replace(/[^A-Z0-9]/g, '')
  return code.length > 4 ? `${code.slice(0, 4)}-${code.slice(4)}` : code
}

function AccessExplanation() {
  const session = useSession()
  const team = session.state === 'signed-in' ? session.team?.display_name : undefined
  return (
    <Text size="sm" c="dimmed">
      Continue only if you see this code on your own machine. The machine can then download the models of{' '}
      <TeamName text={team} /> and report which ones it has. If <b>modelyard login --device</b> shows the code, its
      command line can also act as you in this team. Revoking the key ends this access.
    </Text>
  )
}

function TeamName({ text = 'this team' }: { text?: string | undefined }) {
  return (
    <Text span fw={600}>
      <bdi>{text}</bdi>
    </Text>
  )
}

function Paired(props: { name: string; usedName: string | null; onDone: (() => void) | undefined }) {
  const { name, usedName, onDone } = props
  return (
    <Stack role="status">
      <Alert color="green" icon={<IconCheck aria-hidden />} title="The machine is paired">
        <Text size="sm">
          <bdi>{name}</bdi> receives its key within a few seconds. It appears in the list of machines when its agent
          runs (modelyard agent run).
        </Text>
      </Alert>
      {usedName !== null && (
        <Alert color="yellow" icon={<IconAlertTriangle aria-hidden />} title="The team has a machine with this name">
          <Text size="sm">
            If <bdi>{usedName}</bdi> is another machine, this one is refused while that one runs, and ends its key when
            it uses the name after that. To keep both, run this one with another name: modelyard agent run --agent-id
            NAME
          </Text>
        </Alert>
      )}
      {onDone ? (
        <Button variant="default" onClick={onDone}>
          Close
        </Button>
      ) : (
        <AnchorLink to="/machines">Go to machines</AnchorLink>
      )}
    </Stack>
  )
}
