import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { post } from '../../src/callbacks/post.ts'

t.test('a name is called only if every address it leads to may be', async t => {
  const server = createServer((_req, res) => void res.writeHead(200).end('x'.repeat(1_000_000)))
  server.listen(0)
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = new URL(`http://localhost:${(server.address() as AddressInfo).port}/`)
  const judged: string[] = []
  const letter = { url, headers: {}, body: '{}', signal: new AbortController().signal }
  const objection = (address: string): string | undefined => {
    judged.push(address)
    return address === 'localhost' ? undefined : 'no'
  }
  await t.rejects(post({ ...letter, objection }), { code: 'callback.address', message: 'no' })
  t.match(judged, ['localhost', /^(127\.|::1)/])
  t.equal(await post({ ...letter, objection: () => undefined }), 200)
})
