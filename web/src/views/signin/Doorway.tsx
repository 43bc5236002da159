// The frame of what is seen before one is in.

import { Center, Group, Paper, Stack, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { SchemeSwitch } from '@/app/SchemeSwitch'
import mark from '@/mark.svg'

export function Doorway({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Center component="main" mih="100vh" p="md">
      <Paper withBorder p="xl" w="100%" maw={400}>
        <Stack>
          <Group justify="space-between">
            <Group gap="sm">
              <img src={mark} alt="" width={32} height={32} />
              <Title order={1} size="h3">
                {title}
              </Title>
            </Group>
            <SchemeSwitch />
          </Group>
          {children}
        </Stack>
      </Paper>
    </Center>
  )
}
