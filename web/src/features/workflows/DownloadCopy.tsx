// Downloads a copy of a workflow in which the models have the names that the team's files have.

import { Button, Menu } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { useState } from 'react'
import { notifyError } from '@/components/notify'
import { rewriteWorkflow, type Slashes } from '@/features/workflows/checkWorkflow'
import type { WorkflowFile } from '@/features/workflows/workflowFiles'

const CHOICES: readonly [label: string, slashes: Slashes | undefined][] = [
  ["With the team's names", undefined],
  ["With the team's names, and \\ between folders (Windows)", 'windows'],
  ["With the team's names, and / between folders (Linux, macOS)", 'posix'],
]

export function DownloadCopy({ file }: { file: WorkflowFile }) {
  const [isBusy, setBusy] = useState(false)
  const onChoose = async (slashes: Slashes | undefined) => {
    setBusy(true)
    try {
      saveFile(await rewriteWorkflow(file.file, slashes), `${file.name.replace(/\.\w+$/, '')}-team.json`)
    } catch (error) {
      notifyError(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<IconDownload size={14} aria-hidden />}
          loading={isBusy}
          aria-label={`Download a copy of ${file.name}…`}
        >
          Download a copy…
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {CHOICES.map(([label, slashes]) => (
          <Menu.Item key={label} onClick={() => void onChoose(slashes)}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}

function saveFile(content: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  // Revoked at once, some browsers have not begun to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}
