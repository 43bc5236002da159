// How the page asks for the records of more models than one response has.

import { expect, test } from '@playwright/test'
import { collectRecords, type RecordsPart } from '../src/api/collectRecords'
import type { Model } from '../src/api/types'

function buildPart(ids: string[], has_more_records: boolean): RecordsPart {
  return { model_list: ids.map((id) => ({ id }) as Model), has_more_records }
}

/** Collect the records of models with these scripted parts; return the ids of the records, and those of each request. */
async function collect(ids: string[], parts: RecordsPart[]): Promise<[string[], string[][]]> {
  const asked: string[][] = []
  const records = await collectRecords(ids, async (missing) => {
    const part = parts[asked.length]
    asked.push(missing)
    if (!part) throw new Error('More requests than expected')
    return part
  })
  return [[...records.keys()], asked]
}

test('records that a response leaves out are asked for by their ids', async () => {
  const parts = [buildPart(['a', 'b'], true), buildPart(['d'], true), buildPart(['c'], false)]
  expect(await collect(['a', 'b', 'c', 'd'], parts)).toEqual([
    ['a', 'b', 'd', 'c'],
    [['a', 'b', 'c', 'd'], ['c', 'd'], ['c']],
  ])
})

test('deleted models are not asked for again', async () => {
  expect(await collect(['a', 'gone'], [buildPart(['a'], false)])).toEqual([['a'], [['a', 'gone']]])
})

test('a response that has no records ends the requests', async () => {
  expect(await collect(['a'], [buildPart([], true)])).toEqual([[], [['a']]])
  expect(await collect(['a'], [{ model_list: null, has_more_records: true }])).toEqual([[], [['a']]])
})

test('no ids need no request', async () => {
  expect(await collect([], [])).toEqual([[], []])
})
