// A new secret, shown only once, with commands that use it.

import type { Credential } from '@/api/types'
import { CopyField } from '@/components/CopyField'
import { ShownSecret } from '@/components/SecretDialog'
import { commandsFor } from '@/features/team/keyLabels'

interface Props {
  rawKey: string
  kind: Credential['kind']
  access: Credential['access']
  onClose: () => void
}

export function NewSecret({ rawKey, kind, access, onClose }: Props) {
  return (
    <ShownSecret
      label="Key"
      secret={rawKey}
      hint="The registry keeps no copy. After you close this dialog, the key cannot be shown again."
      onClose={onClose}
    >
      {commandsFor(kind, access, rawKey).map(({ label, text }) => (
        <CopyField key={label} label={label} text={text} />
      ))}
    </ShownSecret>
  )
}
