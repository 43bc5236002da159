// A dialog that edits one fact of a model, with the way back to what the file says.

import { Button, Group, Modal, Stack } from '@mantine/core'
import { type FormEvent, type ReactNode, useState } from 'react'
import { asProblem, type Problem } from '@/api/problem'
import { notifyError } from '@/components/notify'
import { useDrawerDialog } from '@/features/models/details/drawerDialogs'

interface FactFormProps<Value> {
  /** What the field begins with, each time that the dialog is opened. */
  start: Value
  onClose: () => void
  onSave: (value: Value) => Promise<void>
  /** Return to the value of the file; undefined if no person has entered another one. */
  onReset?: (() => Promise<void>) | undefined
  /** Return the props of the field; the error is the message of the registry if it refused the value. */
  children: (field: { value: Value; onChange: (value: Value) => void; error: string | undefined }) => ReactNode
}

interface FactDialogProps<Value> extends FactFormProps<Value> {
  title: string
  isOpen: boolean
}

export function FactDialog<Value>({ title, isOpen, ...form }: FactDialogProps<Value>) {
  useDrawerDialog(isOpen)
  return (
    <Modal opened={isOpen} onClose={form.onClose} title={title}>
      <FactForm {...form} />
    </Modal>
  )
}

function FactForm<Value>({ start, onClose, onSave, onReset, children }: FactFormProps<Value>) {
  const [value, setValue] = useState(start)
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const attempt = async (action: () => Promise<void>) => {
    setBusy(true)
    setProblem(undefined)
    try {
      await action()
      onClose()
    } catch (error) {
      setProblem(asProblem(error))
      if (Object.keys(asProblem(error).fields).length === 0) notifyError(error)
    }
    setBusy(false)
  }
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    // A dialog is a child of its section in React's tree, whose forms must not be sent as well.
    event.stopPropagation()
    void attempt(() => onSave(value))
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        {children({ value, onChange: setValue, error: Object.values(problem?.fields ?? {})[0] })}
        <Group justify="flex-end">
          {onReset && (
            <Button variant="subtle" mr="auto" disabled={isBusy} onClick={() => void attempt(onReset)}>
              Reset to the file’s value
            </Button>
          )}
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={isBusy}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
