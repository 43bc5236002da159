// A name with a distinguishing detail below it; both are isolated from the text direction of their surroundings.

import { Text } from '@mantine/core'

export function Person({ name, detail, isYou = false }: { name: string; detail?: string; isYou?: boolean }) {
  return (
    <>
      <Text size="sm" fw={500} component="div">
        <bdi>{name}</bdi>
        {isYou && ' (you)'}
      </Text>
      {detail && (
        <Text size="xs" c="dimmed" component="div">
          <bdi>{detail}</bdi>
        </Text>
      )}
    </>
  )
}
