/** Nodes that are odd on purpose: they pass for Ollama when looked at, and do with the rest what a test likes. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { type Flags, readConfig } from '../../src/config.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { openHouse } from '../../src/main.ts'
import { dataFolder, view, type World } from '../house/world.ts'

export interface Odd {
  readonly url: string
  readonly port: number
  /** Requests other than looks, as they came. */
  readonly asked: { method: string; url: string; headers: string[]; body: string }[]
  /** Cuts its connections, and takes no new ones. */
  down(): Promise<void>
}

export type OddHandler = (req: IncomingMessage, res: ServerResponse, body: string) => unknown

export interface OddOptions {
  readonly models?: readonly string[]
  readonly rows?: readonly object[]
}

/** With these models, in memory already. */
export async function odd(
  t: Test,
  handle: OddHandler,
  { models = ['tiny:latest'], rows = [] }: OddOptions = {},
): Promise<Odd> {
  const asked: Odd['asked'] = []
  const list = [
    ...models.map(name => ({ name, model: name, digest: 'd', size: 1, capabilities: [] })),
    ...rows,
  ]
  const looks: Record<string, unknown> = {
    '/api/version': { version: '0.33.0' },
    '/api/tags': { models: list },
    '/api/ps': { models: list },
  }
  const server = createServer(async (req, res) => {
    const { method = '', url = '' } = req
    if (looks[url] !== undefined) return void res.end(JSON.stringify(looks[url]))
    const chunks: Buffer[] = []
    if (!url.startsWith('/api/blobs/')) for await (const chunk of req) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString('latin1')
    asked.push({ method, url, headers: req.rawHeaders, body })
    handle(req, res, body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const down = async (): Promise<void> => {
    server.close()
    server.closeAllConnections()
  }
  t.teardown(down)
  return { url: `http://127.0.0.1:${port}`, port, asked, down }
}

/** A house in front of them, called n1, n2, …; with its journal on disk where the flags name a folder for it. */
export async function houseOf(
  t: Test,
  nodes: readonly { readonly url: string; readonly slots?: number }[],
  flags: Flags = {},
): Promise<World> {
  const config = readConfig(
    {
      port: '0',
      embedded: 'off',
      log: 'silent',
      data: dataFolder(t),
      node: nodes.map(({ url, slots = 4 }, i) => `${url},name=n${i + 1},slots=${slots}`),
      ...flags,
    },
    {},
  )
  const house = await openHouse({
    config,
    version: '0.0.0',
    clock: systemClock,
    ...(flags.data === undefined && { journal: openMemoryJournal() }),
    onBug: error => t.fail('a bug', { error }),
  })
  t.teardown(() => house.close())
  return view(house, [])
}
