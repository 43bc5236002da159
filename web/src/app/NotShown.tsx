// Where a view should be that could not be loaded, or failed: after an update of the registry, most of the time.

import { Button } from '@mantine/core'
import { Empty } from '@/parts/states'

export function NotShown() {
  return (
    <Empty title="This view could not be shown">
      <p>The registry may have been updated, or is away. What was saved is safe.</p>
      <Button onClick={() => window.location.reload()}>Load the page again</Button>
    </Empty>
  )
}
