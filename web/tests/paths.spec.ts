// The paths of the page's requests.

import { expect, test } from '@playwright/test'
import { buildPath } from '../src/api/paths'

const TEMPLATE = '/api/v1/agents/{agent_id}/models/{model_id}'

test('names are encoded as one segment each', () => {
  expect(buildPath(TEMPLATE, { agent_id: 'a/b?c', model_id: '...' })).toBe('/api/v1/agents/a%2Fb%3Fc/models/...')
})

for (const name of ['', '.', '..']) {
  test(`the name '${name}' is refused, which would lead to another path`, () => {
    expect(() => buildPath(TEMPLATE, { agent_id: name, model_id: 'ink' })).toThrow('cannot be used')
  })
}
