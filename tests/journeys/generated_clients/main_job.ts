// The main job of a program with the TypeScript client: sign in, upload, register, list, update, download, compare.
//
// Arguments: the registry's URL, the model file, the e-mail address, the password.
// Output: a JSON object with what the test compares.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from './client/client/index.js'
import * as api from './client/sdk.gen.js'

const MODEL_PATH = 'loras/typescript.safetensors'
const UNKNOWN_ID = '0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10'

const [baseUrl, file, email_address, user_password] = process.argv.slice(2)
if (!baseUrl || !file || !email_address || !user_password) throw new Error('arguments: URL FILE EMAIL PASSWORD')
const content = readFileSync(file)
const file_hash = hash(content)

const anonymous = createClient({ baseUrl, throwOnError: true })
const { data: tokens } = await api.logIn({ client: anonymous, throwOnError: true, body: { email_address, user_password } })
const client = createClient({ baseUrl, auth: tokens.access_token })
const { data: me } = await api.getMe({ client, throwOnError: true })
const team = me.team_list[0]
if (!team) throw new Error('The user has no team')
const headers = { 'X-Team-ID': team.id }

const { data: ticket } = await api.presignUpload({
  client,
  headers,
  throwOnError: true,
  body: {
    file_name: 'typescript.safetensors',
    file_size: content.length,
    model_type: 'loras',
    model_path: MODEL_PATH,
    file_hash,
  },
})
const put = await fetch(ticket.upload_url, { method: 'PUT', body: content, headers: ticket.upload_headers })
if (!put.ok) throw new Error(`The store refused the file: ${put.status} ${await put.text()}`)

const { data: created } = await api.createModel({
  client,
  headers,
  throwOnError: true,
  body: {
    display_name: 'From TypeScript',
    model_type: 'loras',
    storage_key: ticket.storage_key,
    file_size: content.length,
    file_hash,
    model_path: MODEL_PATH,
  },
})
const path = { model_id: created.id }

let { data: model } = await api.getModel({ client, headers, path, throwOnError: true })
while (model.verification === 'pending') {
  await sleep(100)
  model = (await api.getModel({ client, headers, path, throwOnError: true })).data
}

await api.updateModel({ client, headers, path, throwOnError: true, body: { tags: ['typescript'] } })
const listed = await api.listModels({ client, headers, throwOnError: true, query: { tag: 'typescript', model_type: 'loras' } })
const found = listed.data.model_list.find((each) => each.id === created.id)

const { data: download } = await api.downloadModel({ client, headers, path, throwOnError: true, query: { redirect: false } })
if (!download || !('download_url' in download)) throw new Error('There is no download URL')
const response = await fetch(download.download_url)

const { error: problem } = await api.getModel({ client, headers, path: { model_id: UNKNOWN_ID } })

console.log(
  JSON.stringify({
    display_name: found?.display_name,
    model_path: found?.model_path,
    model_status: found?.model_status,
    tags: found?.tags,
    total_count: listed.data.page_meta.total_count,
    downloaded_hash: hash(new Uint8Array(await response.arrayBuffer())),
    problem: problem?.error_code,
  }),
)

function hash(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
