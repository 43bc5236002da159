// Letting a machine in that shows a code: what that means, the code, and what happens next.

import { Alert, Button, Stack, Text, TextInput } from '@mantine/core'
import { IconCheck } from '@tabler/icons-react'
import { type FormEvent, useState } from 'react'
import { answered, api } from '@/api/client'
import { asProblem, type Problem } from '@/api/problem'
import { useSession } from '@/api/session'
import { AnchorLink } from '@/parts/links'

export function PairForm({ code = '', onDone }: { code?: string; onDone?: () => void }) {
  const [typed, setTyped] = useState(spelled(code))
  const [refusal, setRefusal] = useState<Problem>()
  const [isBusy, setBusy] = useState(false)
  const [paired, setPaired] = useState<string>()
  const onSubmit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const name = String(new FormData(event.currentTarget).get('name')).trim()
    setBusy(true)
    setRefusal(undefined)
    try {
      const body = { user_code: typed, ...(name && { device_name: name }) }
      await answered(api.POST('/api/v1/desktop/pair/confirm', { body }))
      setPaired(name || typed)
    } catch (error) {
      setRefusal(asProblem(error))
    }
    setBusy(false)
  }
  if (paired !== undefined) return <Paired name={paired} onDone={onDone} />
  return (
    <form onSubmit={(event) => void onSubmit(event)}>
      <Stack>
        <TextInput
          label="Code on the machine's screen"
          placeholder="AB7K-PNQ3"
          value={typed}
          onChange={(event) => setTyped(spelled(event.currentTarget.value))}
          error={refusal?.fields.user_code ?? (refusal && !refusal.fields.device_name && refusal.message)}
          required
          autoComplete="off"
          autoCapitalize="characters"
          spellCheck={false}
          maxLength={32}
          styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)', letterSpacing: '0.15em' } }}
          data-autofocus
        />
        <TextInput
          name="name"
          label="Name for the keys"
          description="So that you find them in the list of keys. It need not be the machine's own name."
          placeholder="render-03"
          error={refusal?.fields.device_name}
          maxLength={100}
          autoComplete="off"
        />
        <LetsIn />
        <Button type="submit" loading={isBusy}>
          Let it in
        </Button>
      </Stack>
    </form>
  )
}

/** `ab7kpnq3` → `AB7K-PNQ3`, as the machine shows it; what is no code stays for the registry to refuse. */
function spelled(typed: string): string {
  const code = typed.toUpperCase().replace(/[^A-Z0-9]/g, '')
  return code.length > 4 ? `${code.slice(0, 4)}-${code.slice(4)}` : code
}

function LetsIn() {
  const session = useSession()
  const team = session.state === 'signed-in' ? session.team?.display_name : undefined
  return (
    <Text size="sm" c="dimmed">
      Only go on if you see this code on a machine of yours. It may then fetch the models of <Name text={team} /> and
      report what it has. Signing in there with <b>modelyard pair</b> also lets it act for you in this team. Either ends
      when the key is revoked.
    </Text>
  )
}

function Name({ text = 'this team' }: { text?: string | undefined }) {
  return (
    <Text span fw={600}>
      <bdi>{text}</bdi>
    </Text>
  )
}

function Paired({ name, onDone }: { name: string; onDone: (() => void) | undefined }) {
  return (
    <Stack role="status">
      <Alert color="green" icon={<IconCheck aria-hidden />} title="The machine is let in">
        <Text size="sm">
          <bdi>{name}</bdi> takes its key by itself, within a few seconds. When its agent runs (modelyard agent run), it
          appears among the machines.
        </Text>
      </Alert>
      {onDone ? (
        <Button variant="default" onClick={onDone}>
          Close
        </Button>
      ) : (
        <AnchorLink to="/machines">To the machines</AnchorLink>
      )}
    </Stack>
  )
}
