// Converts a pickle file to a safetensors model, where the page says that the team keeps it only for that.

import { Button } from '@mantine/core'
import { IconTransform } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import type { Model } from '@/api/types'
import { notifyError } from '@/components/notify'
import { convert } from '@/features/models/mutations'

export function ConvertButton({ model }: { model: Model }) {
  const start = useMutation({ mutationFn: () => convert(model), onError: notifyError })
  return (
    <Button
      variant="default"
      size="compact-sm"
      leftSection={<IconTransform size={16} aria-hidden />}
      loading={start.isPending}
      onClick={() => start.mutate()}
    >
      Convert to .safetensors
    </Button>
  )
}
