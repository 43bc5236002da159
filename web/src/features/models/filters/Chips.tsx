// Qualifiers of a search as chips that can be removed.

import { IconX } from '@tabler/icons-react'
import classes from '@/features/models/filters/filters.module.css'
import { labelOf } from '@/features/models/filters/labels'
import { isFirstWords, joinTokens, type SearchToken, splitSearch } from '@/features/models/filters/searchText'

export function TokenChip({ token, onRemove }: { token: SearchToken; onRemove: () => void }) {
  const name = `${token.isNegated ? '−' : ''}${token.key}:`
  const values = token.values
    .map((value) => `${labelOf(token.key, value)}${isFirstWords(token, value) ? '…' : ''}`)
    .join(' | ')
  return (
    <span className={classes.chip} data-negated={token.isNegated || undefined}>
      <span className={classes.chipText} title={token.text}>
        <b>{name}</b> <bdi>{values}</bdi>
      </span>
      <button type="button" className={classes.remove} aria-label={`Remove ${name} ${values}`} onClick={onRemove}>
        <IconX size={14} aria-hidden />
      </button>
    </span>
  )
}

/** The chips of a search on a line of their own, for narrow screens. */
export function ChipLine({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const tokens = splitSearch(q)
  return (
    <div className={classes.chipLine}>
      {tokens
        .filter(({ key, values }) => key !== '' && values.length > 0)
        .map((token) => (
          <TokenChip
            key={token.text}
            token={token}
            onRemove={() => onSearch(joinTokens(tokens.filter((other) => other !== token)))}
          />
        ))}
    </div>
  )
}
