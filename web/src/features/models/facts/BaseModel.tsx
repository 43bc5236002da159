// The base model of a model, where that comes from, and a way to correct it.

import { ActionIcon } from '@mantine/core'
import { IconPencil } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { BaseModelField } from '@/components/BaseModelField'
import { BASE_SOURCES, isBaseClaimed } from '@/components/baseModel'
import { FactDialog } from '@/features/models/facts/FactDialog'
import classes from '@/features/models/facts/facts.module.css'
import { hasOwnBase, saveOverride } from '@/features/models/facts/overrides'

export function BaseModel({ model }: { model: Model }) {
  const { mayChange } = usePermissions()
  const [isOpen, setOpen] = useState(false)
  return (
    <>
      <span className={classes.withAction}>
        {isBaseClaimed(model) && <span className={classes.dimmed}>probably</span>}
        {model.base_model ? <bdi>{model.base_model}</bdi> : <span className={classes.dimmed}>Unknown</span>}
        {mayChange(model) && (
          <ActionIcon
            variant="subtle"
            color="gray"
            size="sm"
            aria-label="Edit base model"
            title="Edit base model"
            onClick={() => setOpen(true)}
          >
            <IconPencil size={14} aria-hidden />
          </ActionIcon>
        )}
      </span>
      {model.base_source && <small className={classes.small}>{BASE_SOURCES[model.base_source]}</small>}
      <Dialog model={model} isOpen={isOpen} onClose={() => setOpen(false)} />
    </>
  )
}

function Dialog({ model, isOpen, onClose }: { model: Model; isOpen: boolean; onClose: () => void }) {
  const save = (base_model: string | null) => saveOverride(model, { base_model }, 'The base model is changed.')
  return (
    <FactDialog
      title="Base model"
      isOpen={isOpen}
      onClose={onClose}
      start={model.base_model ?? ''}
      onSave={(name) => save(name.trim() || null)}
      onReset={hasOwnBase(model) ? () => save(null) : undefined}
    >
      {(field) => (
        <BaseModelField {...field} description="For all versions of this model, such as Pony or Flux.1 D" isFirst />
      )}
    </FactDialog>
  )
}
