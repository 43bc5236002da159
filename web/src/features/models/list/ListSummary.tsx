// How many models match, of how many; clearing the search, and the way to the trash.

import { UnstyledButton } from '@mantine/core'
import { formatPartialCount } from '@/components/format'
import { AnchorLink } from '@/components/links'
import classes from '@/features/models/list/list.module.css'
import { buildQuery, type Total, useTotal } from '@/features/models/queries'
import { useModelSearch } from '@/features/models/useModelSearch'

export function ListSummary({ total, onClear }: { total: Total | undefined; onClear: () => void }) {
  const search = useModelSearch()
  const isFiltered = Boolean(search.q)
  const whole = useTotal(buildQuery(search.trash ? { trash: true } : {}))
  return (
    <div className={classes.summary}>
      <span role="status">{total && describeCount(total, isFiltered ? whole : undefined)}</span>
      {isFiltered && (
        <UnstyledButton className={classes.link} onClick={onClear}>
          Clear filters
        </UnstyledButton>
      )}
      <span className={classes.end} />
      {search.trash ? (
        <AnchorLink to="/models" className={classes.link ?? ''}>
          To the models
        </AnchorLink>
      ) : (
        <AnchorLink to="/models" search={{ trash: true }} className={classes.link ?? ''}>
          Trash
        </AnchorLink>
      )}
    </div>
  )
}

function describeCount(total: Total, whole: Total | undefined): string {
  const of = whole && whole.count > total.count ? ` of ${format(whole)}` : ''
  const counted = of && whole ? whole.count : total.count
  return `${format(total)}${of} ${counted === 1 ? 'model' : 'models'}`
}

function format({ count, isAtLeast }: Total): string {
  return formatPartialCount(count, isAtLeast)
}
