import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { Channel } from '../../src/rpc/channel.ts'
import { plaintext } from '../../src/rpc/credentials.ts'
import { PROBE } from '../../src/rpc/limits.ts'

t.test('a line that is closed while it comes up does not come up again', async t => {
  const sockets: Socket[] = []
  const mute = createServer(socket => sockets.push(socket.on('error', () => {}).resume())).listen(
    0,
    '127.0.0.1',
  )
  await once(mute, 'listening')
  t.teardown(() => {
    mute.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = `127.0.0.1:${(mute.address() as AddressInfo).port}`
  const channel = new Channel({ clock, address, dialling: plaintext.dialling(), probe: PROBE })
  const dialled = once(mute, 'connection')
  const ready = channel.ready(60_000)
  await dialled
  channel.close()
  await t.rejects(ready, { code: 'rpc.broken' }, 'who waits for it hears so at once')
  await sleep(300)
  t.equal(sockets.length, 1, 'nobody dials any more')
  await t.rejects(channel.ready(60_000), { code: 'rpc.broken' })
})

t.test('why no line comes up is told without the words that the library puts around it', async t => {
  const gone = createServer().listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const address = `127.0.0.1:${(gone.address() as AddressInfo).port}`
  gone.close()
  await once(gone, 'close')
  const channel = new Channel({ clock, address, dialling: plaintext.dialling(), probe: PROBE })
  t.teardown(() => channel.close())
  await t.rejects(channel.ready(60_000), {
    code: 'rpc.broken',
    retryable: true,
    message: `connect ECONNREFUSED ${address}`,
  })
})
