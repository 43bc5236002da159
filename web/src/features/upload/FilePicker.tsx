// A button that opens the browser's dialog for files, or for a folder.

import { Button } from '@mantine/core'
import type { TablerIcon } from '@tabler/icons-react'
import { type ChangeEvent, useRef } from 'react'
import { type PickedFile, readPickedFiles } from '@/features/upload/engine/readFiles'

// React's types do not know it yet.
const FOLDERS = { webkitdirectory: '' }

interface FilePickerProps {
  label: string
  icon: TablerIcon
  /** Extensions that the dialog shows; all if there are none. */
  accept?: readonly string[]
  isFolder?: boolean
  testId: string
  onFiles: (files: PickedFile[]) => void
}

export function FilePicker({ label, icon: Icon, accept, isFolder = false, testId, onFiles }: FilePickerProps) {
  const input = useRef<HTMLInputElement>(null)
  const onChange = ({ currentTarget }: ChangeEvent<HTMLInputElement>) => {
    if (currentTarget.files) onFiles(readPickedFiles(currentTarget.files))
    // Allow selecting the same file again.
    currentTarget.value = ''
  }
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        multiple
        accept={accept?.join(',')}
        onChange={onChange}
        data-testid={testId}
        {...(isFolder && FOLDERS)}
      />
      <Button variant="default" leftSection={<Icon size={16} />} onClick={() => input.current?.click()}>
        {label}
      </Button>
    </>
  )
}
