// What the list says when nothing matches: a similar search that finds models, and which parts of the search can be
// removed, with the number of models that this shows.

import { Button, Text } from '@mantine/core'
import { formatPartialCount } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { Empty } from '@/components/placeholders'
import { joinTokens, type SearchToken, splitSearch } from '@/features/models/filters/searchText'
import classes from '@/features/models/list/list.module.css'
import { buildQuery, useTotal } from '@/features/models/queries'
import type { ModelSearch } from '@/features/models/search'
import { useChangeSearch } from '@/features/models/useModelSearch'

const MAX_OFFERED = 6

interface NoResultsProps {
  search: ModelSearch
  /** The same search with a similar word, which finds models. */
  similar: string | null | undefined
}

export function NoResults({ search, similar }: NoResultsProps) {
  const go = useChangeSearch()
  const tokens = splitSearch(search.q ?? '')
  if (search.trash && tokens.length === 0) {
    return <Empty title="The trash is empty">Deleted models can be restored from here for some days.</Empty>
  }
  if (tokens.length === 1 && tokens[0]?.text === 'is:missing') {
    return <Empty title="No models are missing">Each machine has all the models that it should have.</Empty>
  }
  return (
    <Empty title="No models match">
      {similar && (
        <Text component="span" display="block" mb="sm">
          Did you mean{' '}
          <AnchorLink to="/models" search={{ ...search, q: similar }}>
            <bdi>{similar}</bdi>
          </AnchorLink>
          ?
        </Text>
      )}
      {tokens.length > 1 && (
        <div className={classes.suggestions}>
          {tokens.slice(0, MAX_OFFERED).map((token) => (
            <WithoutToken key={token.text} search={search} tokens={tokens} token={token} />
          ))}
        </div>
      )}
      <Button variant="subtle" mt="sm" onClick={() => go({ q: undefined })}>
        Clear filters
      </Button>
    </Empty>
  )
}

interface WithoutTokenProps {
  search: ModelSearch
  tokens: SearchToken[]
  token: SearchToken
}

function WithoutToken({ search, tokens, token }: WithoutTokenProps) {
  const go = useChangeSearch()
  const q = joinTokens(tokens.filter((other) => other !== token))
  const total = useTotal(buildQuery({ ...search, q }))
  const count = total ? ` (${formatPartialCount(total.count, total.isAtLeast)})` : ''
  return (
    <Button variant="default" size="compact-sm" disabled={total?.count === 0} onClick={() => go({ q })}>
      {`Without ${token.text}${count}`}
    </Button>
  )
}
