// Invites a person by e-mail address and role; the link is shown only once.

import { Alert, Button, Group, Modal, Radio, Stack, Text, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import { CopyField } from '@/components/CopyField'
import { formatCount } from '@/components/format'
import { notifyError } from '@/components/notify'
import { type AssignableRole, INVITATIONS, ROLE_OPTIONS } from '@/features/team/members'
import { INVITATION_DAYS } from '@/generated/durations'
import type { components } from '@/generated/schema'

interface InvitationRequest {
  email_address: string
  invitation_role: AssignableRole
}

export function Invite({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const cache = useQueryClient()
  const invite = useMutation({
    mutationFn: (body: InvitationRequest) => unwrap(api.POST('/api/v1/invitations', { body })),
    onSuccess: () => cache.invalidateQueries({ queryKey: INVITATIONS }),
    onError: (error) => isAddressError(error) || notifyError(error),
  })
  const close = () => {
    onClose()
    invite.reset()
  }
  const refusal = isAddressError(invite.error) ? getAddressError(invite.error) : undefined
  return (
    <Modal
      opened={isOpen}
      onClose={close}
      title="Invite a person"
      // The link cannot be shown again, so clicking outside does not close the dialog.
      closeOnClickOutside={!invite.data}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {invite.data && invite.variables ? (
        <InvitationLink created={invite.data} asked={invite.variables} onClose={close} />
      ) : (
        <Form refusal={refusal} isBusy={invite.isPending} onAsk={invite.mutate} />
      )}
    </Modal>
  )
}

function isAddressError(error: unknown): boolean {
  return error !== null && error !== undefined && getAddressError(error) !== undefined
}

function getAddressError(error: unknown): string | undefined {
  const problem = asProblem(error)
  return problem.status === 409 ? problem.message : problem.fields.email_address && `${problem.fields.email_address}.`
}

interface FormProps {
  refusal: string | undefined
  isBusy: boolean
  onAsk: (asked: InvitationRequest) => void
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
            {ROLE_OPTIONS.map(({ value, label, may }) => (
              <Radio key={value} value={value} label={label} description={may} />
            ))}
          </Stack>
        </Radio.Group>
        <Text size="sm" c="dimmed">
          No e-mail is sent. You get a link to share.
        </Text>
        <Group justify="flex-end">
          <Button type="submit" loading={isBusy}>
            Create link
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

interface InvitationLinkProps {
  created: components['schemas']['CreatedInvitation']
  asked: InvitationRequest
  onClose: () => void
}

function InvitationLink({ created, asked, onClose }: InvitationLinkProps) {
  const token = created.invitation_token
  const origin = created.public_url ?? window.location.origin
  return (
    <Stack>
      <Text>
        Send the link or the command to <bdi>{asked.email_address}</bdi>. It is shown only now, works once, and expires
        in {formatCount(INVITATION_DAYS, 'day')}.
      </Text>
      {isLoopback(origin) && (
        <Alert color="orange" role="status">
          This link works only on this computer. Open the page at the registry's network address and invite again, or
          ask the operator to set MODELYARD_PUBLIC_URL.
        </Alert>
      )}
      {/* After the #, since no browser sends that part and no server logs it. */}
      <CopyField label="Link" text={`${origin}/join#${token}`} />
      <CopyField label="Command" text={`modelyard --url ${origin} invite accept ${token}`} />
      <Group justify="flex-end">
        <Button onClick={onClose}>Done</Button>
      </Group>
    </Stack>
  )
}

/** Returns whether an address is reached from this computer only. */
function isLoopback(origin: string): boolean {
  return /^https?:\/\/(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(origin)
}
