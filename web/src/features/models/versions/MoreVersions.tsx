// Loads the next page of versions.

import { Button, Group, Text } from '@mantine/core'
import type { useVersionPages } from '@/features/models/versions/queries'

type VersionPages = Pick<
  ReturnType<typeof useVersionPages>,
  'hasNextPage' | 'isFetchingNextPage' | 'isFetchNextPageError' | 'fetchNextPage'
>

export function MoreVersions({ pages }: { pages: VersionPages }) {
  if (!pages.hasNextPage) return null
  return (
    <Group gap="xs" mt="xs">
      <Button
        variant="default"
        size="compact-sm"
        loading={pages.isFetchingNextPage}
        onClick={() => void pages.fetchNextPage()}
      >
        {pages.isFetchNextPageError ? 'Retry' : 'Show older versions'}
      </Button>
      {pages.isFetchNextPageError && (
        <Text size="sm" role="alert">
          More versions could not be loaded.
        </Text>
      )}
    </Group>
  )
}
