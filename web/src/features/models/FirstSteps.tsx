// First steps, shown while the team has no models.

import { Stack, Text, Title } from '@mantine/core'
import { IconUpload } from '@tabler/icons-react'
import { usePermissions } from '@/api/permissions'
import { useSession } from '@/api/session'
import { Copyable } from '@/components/Copyable'
import { ButtonLink } from '@/components/links'

export function FirstSteps() {
  const { may } = usePermissions()
  const session = useSession()
  const email = session.state === 'signed-in' ? session.me.email_address : ''
  return (
    <Stack align="center" gap="md" py={48} maw={560} mx="auto">
      <Title order={2} size="h3" ta="center">
        No models yet
      </Title>
      {may('models_upload') ? (
        <>
          <Text ta="center" c="dimmed">
            Upload the first one. Every machine that is paired with this registry downloads it automatically.
          </Text>
          <ButtonLink to="/upload" leftSection={<IconUpload size={18} aria-hidden />}>
            Upload models
          </ButtonLink>
          <Text ta="center" c="dimmed">
            Or push a file, or a whole ComfyUI models folder, from a terminal:
          </Text>
          <Stack gap={4} w="100%">
            <Copyable text={`modelyard login ${window.location.origin} ${email}`} what="the command" />
            <Copyable text="modelyard push ComfyUI/models" what="the command" />
          </Stack>
        </>
      ) : (
        <Text ta="center" c="dimmed">
          Members of the team can upload models. The models appear here.
        </Text>
      )}
    </Stack>
  )
}
