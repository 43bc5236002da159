// How many models one request of replica states may name.

import { MAX_STATES_IN_RESPONSE } from '@/generated/states'

// A screen of the matrix shows one or two chunks, small scrolls need no new request, and the URL stays short.
const CHUNK = 25

/** `machines` is how many the team has: the more, the fewer models are asked for at once. */
export function countPerStateRequest(machines: number): number {
  return Math.max(1, Math.min(CHUNK, Math.floor(MAX_STATES_IN_RESPONSE / machines)))
}
