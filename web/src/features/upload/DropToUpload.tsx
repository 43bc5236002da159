// Takes files that are dropped anywhere on another view to the uploads view.

import { useNavigate } from '@tanstack/react-router'
import { DropHint } from '@/components/DropHint'
import { keepDroppedFiles } from '@/features/upload/droppedFiles'
import { useDrop } from '@/features/upload/useDrop'

export function DropToUpload() {
  const navigate = useNavigate()
  const isOver = useDrop((files) => {
    keepDroppedFiles(files)
    void navigate({ to: '/upload' })
  })
  return isOver && <DropHint>Drop models to add them to the team</DropHint>
}
