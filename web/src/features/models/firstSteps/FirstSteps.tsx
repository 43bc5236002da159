// What the team's list shows while it has no models: the first steps, and how to push files from a terminal.

import { Paper, Stack, Text, Title } from '@mantine/core'
import { IconUpload } from '@tabler/icons-react'
import { usePermissions } from '@/api/permissions'
import { useSession } from '@/api/session'
import { Copyable } from '@/components/Copyable'
import { ButtonLink } from '@/components/links'
import classes from '@/features/models/firstSteps/firstSteps.module.css'
import { StepMark } from '@/features/models/firstSteps/StepMark'
import { type FirstStepsState, useFirstSteps } from '@/features/models/firstSteps/useFirstSteps'

export function FirstSteps() {
  const { may } = usePermissions()
  const state = useFirstSteps()
  return (
    <Stack align="center" gap="md" py={48} px="md" maw={592} mx="auto">
      <Title order={2} size="h3" ta="center">
        No models yet
      </Title>
      {!may('models_upload') && (
        <Text ta="center" c="dimmed">
          Members of the team can upload models. The models appear here.
        </Text>
      )}
      {may('models_upload') && (typeof state === 'object' ? <Steps {...state} /> : <UploadButton />)}
      {may('models_upload') && <Commands />}
    </Stack>
  )
}

function UploadButton() {
  return (
    <ButtonLink to="/upload" leftSection={<IconUpload size={18} aria-hidden />}>
      Upload models
    </ButtonLink>
  )
}

function Steps({ steps, next }: FirstStepsState) {
  return (
    <Paper withBorder radius="md" w="100%" component="section" aria-label="First steps">
      <ol className={classes.list}>
        {steps.map((step) => (
          <li
            key={step.label}
            className={classes.row}
            aria-current={step.condition === next.condition ? 'step' : undefined}
          >
            <StepMark isDone={step.isDone} />
            <div className={classes.text}>
              <div className={classes.label}>{step.label}</div>
              {step.condition === next.condition && <div className={classes.detail}>{step.detail}</div>}
            </div>
            {step.condition === next.condition && (
              <ButtonLink to={step.to} size="compact-sm">
                {step.button}
              </ButtonLink>
            )}
          </li>
        ))}
      </ol>
    </Paper>
  )
}

function Commands() {
  const session = useSession()
  const email = session.state === 'signed-in' ? session.me.email_address : ''
  return (
    <>
      <Text ta="center" c="dimmed">
        Or push a file, or a whole ComfyUI models folder, from a terminal:
      </Text>
      <Stack gap={4} w="100%">
        <Copyable text={`modelyard login ${window.location.origin} ${email}`} what="the command" />
        <Copyable text="modelyard push ComfyUI/models" what="the command" />
      </Stack>
    </>
  )
}
