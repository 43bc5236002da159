// The layout of pages for people who are not signed in.

import { Center, Group, Paper, Stack, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { ColorSchemeSwitch } from '@/components/ColorSchemeSwitch'
import mark from '@/mark.svg'

export function SignInLayout({ title, children }: { title: string; children: ReactNode }) {
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
            <ColorSchemeSwitch />
          </Group>
          {children}
        </Stack>
      </Paper>
    </Center>
  )
}
