// The row of one upload: the file while it is sent, then the model and where it is.

import { Text } from '@mantine/core'
import {
  IconAlertTriangleFilled,
  IconCircleCheckFilled,
  IconClock,
  IconRefresh,
  type TablerIcon,
} from '@tabler/icons-react'
import { memo } from 'react'
import { formatBaseModel } from '@/components/baseModel'
import { AnchorLink } from '@/components/links'
import { ModelPicture } from '@/components/ModelPicture'
import { formatModelSize } from '@/components/modelSize'
import { formatModelType } from '@/components/modelType'
import type { Item } from '@/features/upload/engine/items'
import { type Delivery, describeIgnored } from '@/features/upload/recent/describeDelivery'
import type { UploadRow } from '@/features/upload/recent/mergeRows'
import classes from '@/features/upload/recent/recent.module.css'
import { TransferRow } from '@/features/upload/recent/TransferRow'
import type { DeliveredRow } from '@/features/upload/recent/useDeliveries'

export function RecentRow({ row: { item, delivered } }: { row: UploadRow }) {
  if (delivered) {
    const notes = [describeVersion(delivered, item), describeIgnored(item)]
    return <DeliveryRow row={delivered} note={notes.filter(Boolean).join(' · ')} />
  }
  return item && <TransferRow one={item} />
}

const DeliveryRow = memo(function DeliveryRow({ row, note }: { row: DeliveredRow; note: string }) {
  const { model, delivery } = row
  return (
    <li className={classes.row} aria-label={model.display_name}>
      <span className={classes.picture}>
        <ModelPicture model={model} isSmall />
      </span>
      <span className={classes.names}>
        <AnchorLink
          to="/models/$id"
          params={{ id: model.id }}
          search={{}}
          size="sm"
          fw={600}
          c="inherit"
          title={model.model_path}
        >
          <bdi>{model.display_name}</bdi>
        </AnchorLink>
        <Text size="xs" c="dimmed">
          {[formatModelType(model.model_type), formatBaseModel(model), getOtherFileName(model), note]
            .filter(Boolean)
            .join(' · ')}
        </Text>
      </span>
      <span className={classes.size}>{formatModelSize(model)}</span>
      <DeliveryState delivery={delivery} />
      <NextStep delivery={delivery} id={model.id} />
    </li>
  )
})

/** Return the name of the file, if the name of the model does not say it already. */
function getOtherFileName({ display_name, model_path }: DeliveredRow['model']): string {
  const name = model_path.split('/').at(-1) ?? ''
  return name === display_name || name.startsWith(`${display_name}.`) ? '' : name
}

/** Return which version the file became, or as what and where the registry had it. */
function describeVersion({ model }: Pick<DeliveredRow, 'model'>, item: Item | undefined): string {
  const version = item?.version ?? model.version
  if (item?.isSuperseded && item.outcome !== 'here already') return `version ${version}, superseded by a newer version`
  if (item?.outcome === 'repaired') return `version ${version} repaired`
  const which = version > 1 ? `version ${version}` : ''
  if (item?.outcome === 'here already') {
    return `${['already in the registry', which].filter(Boolean).join(' as ')} at ${model.model_path}`
  }
  return which
}

const MARKS: Record<Delivery['kind'], { icon: TablerIcon; className: string | undefined }> = {
  done: { icon: IconCircleCheckFilled, className: classes.done },
  moving: { icon: IconRefresh, className: classes.moving },
  problem: { icon: IconAlertTriangleFilled, className: classes.problem },
  idle: { icon: IconClock, className: classes.idle },
}

function DeliveryState({ delivery: { kind, text } }: { delivery: Delivery }) {
  const { icon: Icon, className } = MARKS[kind]
  return (
    <span className={`${classes.delivery} ${className}`}>
      <Icon size={16} aria-hidden />
      <bdi>{text}</bdi>
    </span>
  )
}

function NextStep({ delivery: { next }, id }: { delivery: Delivery; id: string }) {
  const shared = { size: 'sm', className: classes.next ?? '' } as const
  if (next === 'pair machine') {
    return (
      <AnchorLink to="/machines" {...shared}>
        Pair a machine
      </AnchorLink>
    )
  }
  if (next !== 'see machines') return null
  return (
    <AnchorLink to="/models/$id" params={{ id }} search={{}} {...shared}>
      See machines
    </AnchorLink>
  )
}
