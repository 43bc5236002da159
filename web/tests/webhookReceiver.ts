// A receiver of webhooks on a loopback port, and a registry that may reach it.

import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startRegistry } from './fixtures'
import type { Registry } from './registry'

interface ReceivedMessage {
  headers: IncomingHttpHeaders
  body: { type: string; data: Record<string, unknown> }
}

/** Records the messages that it gets, and answers each with `status`. */
export class WebhookReceiver {
  readonly messages: ReceivedMessage[] = []
  status = 204
  private readonly server: Server

  private constructor() {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as ReceivedMessage['body']
        this.messages.push({ headers: request.headers, body })
        response.writeHead(this.status, { 'Content-Length': '0' }).end()
      })
    })
  }

  static async start(): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver()
    await new Promise<void>((done) => receiver.server.listen(0, '127.0.0.1', done))
    return receiver
  }

  /** The host and port as the operator lists them. */
  get host(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  get url(): string {
    return `http://${this.host}/hooks`
  }

  stop(): Promise<void> {
    this.server.closeAllConnections()
    return new Promise((over) => this.server.close(() => over()))
  }
}

/** Provide a registry that may send to this receiver, and keep both running while it is used. */
export function startRegistryWithReceiver(
  onStarted: (receiver: WebhookReceiver) => void,
): (use: (registry: Registry) => Promise<void>) => Promise<void> {
  return async (use) => {
    const receiver = await WebhookReceiver.start()
    onStarted(receiver)
    try {
      await startRegistry({ MODELYARD_WEBHOOK_HOSTS: receiver.host })(use)
    } finally {
      await receiver.stop()
    }
  }
}
