// The user's sessions: each can be ended by itself.

import { Button, Text } from '@mantine/core'
import { useInfiniteQuery, useMutation } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import { queryClient } from '@/api/queryClient'
import type { AccountSession } from '@/api/types'
import { Ago } from '@/components/Ago'
import { notify, notifyError } from '@/components/notify'
import { LoadError, Loading } from '@/components/placeholders'
import classes from '@/features/account/account.module.css'
import { describeProgram } from '@/features/account/describeProgram'

const QUERY_KEY = ['own sessions']
const PER_PAGE = 20

export function SessionList() {
  const sessions = useInfiniteQuery({
    queryKey: QUERY_KEY,
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET('/api/v1/users/me/sessions', { params: { query: { cursor: pageParam, per_page: PER_PAGE } }, signal }),
      ),
    getNextPageParam: (last) => last.page_meta.next_cursor ?? undefined,
    select: (data) => data.pages.flatMap((page) => page.session_list),
  })
  if (sessions.error && !sessions.data) {
    return <LoadError error={sessions.error} onRetry={() => void sessions.refetch()} />
  }
  if (!sessions.data) return <Loading label="Loading your sessions" />
  return (
    <>
      <ul className={classes.sessions} aria-label="Your sessions">
        {sessions.data.map((session) => (
          <SessionRow key={session.id} session={session} />
        ))}
      </ul>
      {sessions.hasNextPage && (
        <Button
          variant="default"
          size="compact-sm"
          loading={sessions.isFetchingNextPage}
          onClick={() => void sessions.fetchNextPage()}
        >
          Show more
        </Button>
      )}
    </>
  )
}

function SessionRow({ session }: { session: AccountSession }) {
  const program = describeProgram(session.user_agent)
  const end = useMutation({
    mutationFn: () => endSession(session.id),
    onSuccess: () => notify(`The session of ${program} has ended.`),
    onError: notifyError,
    onSettled: () => queryClient.invalidateQueries({ queryKey: QUERY_KEY }),
  })
  return (
    <li className={classes.session}>
      <div className={classes.program}>
        <Text size="sm" fw={500} title={session.user_agent ?? undefined}>
          <bdi>{program}</bdi>
          {session.is_current && ' (this one)'}
        </Text>
        <Text size="xs" c="dimmed">
          Signed in <Ago time={session.created_at} />, used <Ago time={session.last_used_at} />
        </Text>
      </div>
      {!session.is_current && (
        <Button
          variant="default"
          size="compact-sm"
          loading={end.isPending}
          aria-label={`End the session of ${program}`}
          onClick={() => end.mutate()}
        >
          End
        </Button>
      )}
    </li>
  )
}

/** End a session; one that has ended meanwhile is no error. */
async function endSession(session_id: string): Promise<void> {
  try {
    await unwrap(api.DELETE('/api/v1/users/me/sessions/{session_id}', { params: { path: { session_id } } }))
  } catch (error) {
    if (!asProblem(error).is('session_not_found')) throw error
  }
}
