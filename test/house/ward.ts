/** Stands in front of a simulated node: keeps what is asked of it, and lets nothing pass while a test wants it held. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { Sim } from '../../src/sim/sim.ts'

export interface Ward {
  readonly url: string
  /** What is not a look, in the order it came. */
  readonly asked: readonly Passing[]
  /** What is done to the text of each answer. */
  change: (text: string) => string
  /** Is the connection cut when this is asked? */
  breaks: (body: string) => boolean
  /** From now on everything waits; the function lets it all go. */
  hold(): () => void
  /** Resolves when so many have been asked in all. */
  asks(count: number): Promise<void>
  /** Cuts its connections, and takes no new ones until it is up again. */
  down(): Promise<void>
  up(): Promise<void>
}

export interface Passing {
  readonly path: string
  readonly body: string
  /** The one who asked went away before it had its answer. */
  left: boolean
}

export async function ward(t: Test, sim: Sim): Promise<Ward> {
  const asked: Passing[] = []
  const waiting: (() => void)[] = []
  let gate = Promise.resolve()
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    if (req.method === 'POST') {
      const passing: Passing = { path: req.url!, body: body.toString(), left: false }
      asked.push(passing)
      res.on('close', () => {
        passing.left = !res.writableFinished
      })
      for (const look of waiting.splice(0)) look()
      await gate
      if (self.breaks(passing.body)) return void req.socket.destroy()
    }
    try {
      const said = await fetch(sim.url + req.url, { method: req.method!, ...(body.length > 0 && { body }) })
      const bytes = Buffer.from(self.change(await said.text()))
      const type = said.headers.get('content-type')!
      const length = said.headers.get('content-length')
      res.writeHead(said.status, {
        'Content-Type': type,
        ...(length !== null && { 'Content-Length': bytes.length }),
      })
      res.end(bytes)
    } catch {
      req.socket.destroy()
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const down = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
  }
  t.teardown(down)
  const self: Ward = {
    url: `http://127.0.0.1:${port}`,
    asked,
    change: text => text,
    breaks: () => false,
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return resolve
    },
    async asks(count) {
      while (asked.length < count) await new Promise<void>(resolve => waiting.push(resolve))
    },
    down,
    async up() {
      await once(server.listen(port, '127.0.0.1'), 'listening')
    },
  }
  return self
}
