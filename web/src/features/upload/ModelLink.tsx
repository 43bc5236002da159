// A link to a model's details.

import { Anchor } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'

export function ModelLink({ id, children }: { id: string; children: ReactNode }) {
  return (
    <Anchor size="sm" renderRoot={(props) => <Link to="/models" search={{ model: id }} {...props} />}>
      {children}
    </Anchor>
  )
}
