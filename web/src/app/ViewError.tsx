// Shown instead of a view that could not be loaded or crashed, most often after an update of the registry.

import { Button } from '@mantine/core'
import { Empty } from '@/components/placeholders'

export function ViewError() {
  return (
    <Empty title="This view could not be loaded">
      <p>The registry may have been updated or may be unreachable. Saved data is safe.</p>
      <Button onClick={() => window.location.reload()}>Reload page</Button>
    </Empty>
  )
}
