/** The runner itself: it must not be content with just any server. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { checks, conform } from './conform.ts'

t.test('there are 75 checks, numbered without a gap', async t => {
  t.same(
    Object.keys(checks).map(Number),
    Array.from({ length: 75 }, (_, i) => i + 1),
  )
})

for (const [what, status, body] of [
  ['{}', 200, '{}'],
  ['{"models":[]}', 200, '{"models":[]}'],
  ['not found', 404, '404 page not found'],
] as const)
  t.test(`a server that answers ${what} to everything keeps next to no promise`, async t => {
    const server = createServer((_, reply) =>
      reply.writeHead(status, { 'content-type': 'text/plain', 'content-length': body.length }).end(body),
    ).listen(0, '127.0.0.1')
    await new Promise(resolve => server.on('listening', resolve))
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo

    const results = await conform({
      url: `http://127.0.0.1:${port}`,
      model: 'tiny',
      embed: 'tinyembed',
      maxQueue: 4,
    })
    const kept = results.filter(result => result.outcome === 'ok').map(result => result.number)
    t.same(kept, status === 404 ? [8, 50, 60] : [])
  })

t.test('a server that never answers fails by the deadline', async t => {
  const server = createServer(() => {}).listen(0, '127.0.0.1')
  await new Promise(resolve => server.on('listening', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo

  const results = await conform({
    url: `http://127.0.0.1:${port}`,
    model: 'tiny',
    embed: 'tinyembed',
    maxQueue: 4,
    deadlineMs: 50,
    only: [2, 3, 13, 29, 65, 69, 70, 71],
  })
  t.equal(results.length, 8)
  for (const result of results)
    t.match(result, { outcome: 'failed', reason: 'time', ms: Number }, `${result.number}`)
})
