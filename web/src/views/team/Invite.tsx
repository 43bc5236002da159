// Inviting somebody: an address and a role, and then a link to hand over, which is shown this once.

import { Button, Group, Modal, Radio, Stack, Text, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { answered, api } from '@/api/client'
import { asProblem } from '@/api/problem'
import { Handover } from '@/parts/Handover'
import { failed } from '@/parts/notify'
import { type AssignableRole, INVITATIONS, ROLES } from '@/views/team/people'

interface Asked {
  email_address: string
  invitation_role: AssignableRole
}

export function Invite({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const cache = useQueryClient()
  const invite = useMutation({
    mutationFn: (body: Asked) => answered(api.POST('/api/v1/invitations', { body })),
    onSuccess: () => cache.invalidateQueries({ queryKey: INVITATIONS }),
    onError: (error) => isAboutTheAddress(error) || failed(error),
  })
  const close = () => {
    onClose()
    invite.reset()
  }
  const refusal = isAboutTheAddress(invite.error) ? addressRefusal(invite.error) : undefined
  return (
    <Modal
      opened={isOpen}
      onClose={close}
      title="Invite somebody"
      // A link that is gone by a slip of the hand could not be shown again.
      closeOnClickOutside={!invite.data}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {invite.data && invite.variables ? (
        <Made token={invite.data.invitation_token} asked={invite.variables} onClose={close} />
      ) : (
        <Form refusal={refusal} isBusy={invite.isPending} onAsk={invite.mutate} />
      )}
    </Modal>
  )
}

function isAboutTheAddress(error: unknown): boolean {
  return error !== null && error !== undefined && addressRefusal(error) !== undefined
}

function addressRefusal(error: unknown): string | undefined {
  const problem = asProblem(error)
  return problem.status === 409 ? problem.message : problem.fields.email_address && 'This is no e-mail address.'
}

interface FormProps {
  refusal: string | undefined
  isBusy: boolean
  onAsk: (asked: Asked) => void
}

function Form({ refusal, isBusy, onAsk }: FormProps) {
  const [role, setRole] = useState<AssignableRole>('member')
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const email_address = String(new FormData(event.currentTarget).get('email')).trim()
    onAsk({ email_address, invitation_role: role })
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <TextInput
          name="email"
          type="email"
          label="E-mail"
          autoComplete="off"
          required
          error={refusal}
          data-autofocus
        />
        <Radio.Group label="Role" value={role} onChange={(value) => setRole(value as AssignableRole)}>
          <Stack gap="xs" mt="xs">
            {ROLES.map(({ value, label, may }) => (
              <Radio key={value} value={value} label={label} description={may} />
            ))}
          </Stack>
        </Radio.Group>
        <Text size="sm" c="dimmed">
          No mail is sent: you get a link to hand over yourself.
        </Text>
        <Group justify="flex-end">
          <Button type="submit" loading={isBusy}>
            Make the link
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

function Made({ token, asked, onClose }: { token: string; asked: Asked; onClose: () => void }) {
  const origin = window.location.origin
  return (
    <Stack>
      <Text>
        Hand this to <bdi>{asked.email_address}</bdi>. It is shown this once, works once, and ends in 7 days.
      </Text>
      {/* After the #, since no browser sends that part and no server logs it. */}
      <Handover label="Link" text={`${origin}/join#${token}`} />
      <Handover label="Command" text={`modelyard --url ${origin} invite accept ${token}`} />
      <Group justify="flex-end">
        <Button onClick={onClose}>Done</Button>
      </Group>
    </Stack>
  )
}
