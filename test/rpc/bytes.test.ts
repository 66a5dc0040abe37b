/** Pieces of bodies go a way of their own; on the wire nobody can tell, and whatever is something else goes the usual way. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { agentService, houseService, type Method } from '../../src/rpc/definitions.ts'

const relay = agentService.methods['Relay'] as Method
const attach = houseService.methods['Attach'] as Method
/** What a serializer gives, as the library makes a frame of it. */
const framed = (message: {
  readonly length: number
  readonly byteLength: number
  copy: Buffer['copy']
}): Buffer => {
  const frame = Buffer.alloc(message.byteLength + 5, 0xee)
  t.equal(message.length, message.byteLength)
  message.copy(frame, 5)
  t.equal(frame.subarray(0, 5).toString('hex'), 'eeeeeeeeee')
  return frame.subarray(5)
}
/** protobuf by hand: a tag, a length, bytes. */
const field = (number: number, bytes: Buffer): Buffer => {
  const head = [(number << 3) | 2]
  for (let left = bytes.length; ; left >>>= 7) {
    if (left < 0x80) {
      head.push(left)
      return Buffer.concat([Buffer.from(head), bytes])
    }
    head.push((left & 0x7f) | 0x80)
  }
}
const SIZES = [0, 1, 127, 128, 129, 16_383, 16_384, 65_536, 262_144]

t.test('a piece is written as protobuf has it, and read back as it was, of every size', async t => {
  for (const size of SIZES) {
    const data = randomBytes(size)
    const plain = field(2, data)
    for (const [write, read] of [
      [relay.requestSerialize, relay.requestDeserialize],
      [relay.responseSerialize, relay.responseDeserialize],
    ] as const) {
      t.ok(framed(write({ data })).equals(plain), `${size}`)
      t.same(read(plain), { data })
    }
    const up = field(6, plain)
    t.ok(framed(attach.requestSerialize({ relay: { data } })).equals(up), `from the agent, ${size}`)
    t.same(attach.requestDeserialize(up), { relay: { data } })
    const down = field(5, plain)
    t.ok(framed(attach.responseSerialize({ relay: { data } })).equals(down), `to the agent, ${size}`)
    t.same(attach.responseDeserialize(down), { relay: { data } })
  }
})

t.test('other messages are what they were', async t => {
  for (const message of [
    { relay: { head: { status: 200, headers: [{ name: 'A', value: 'b' }] } } },
    { relay: { end: true } },
    { relay: { failure: { refused: true, reason: 'no' } } },
    { end: { code: 14, message: 'gone', quipuCode: 'agent.closing', retryable: true } },
    { cancel: { cancelled: true } },
  ])
    t.match(attach.requestDeserialize(framed(attach.requestSerialize(message))), message)
  const head = { head: { method: 'GET', path: '/', headers: [], body: false } }
  t.match(relay.requestDeserialize(framed(relay.requestSerialize(head))), head)
  t.match(attach.responseDeserialize(framed(attach.responseSerialize({ relay: head }))), { relay: head })
})

t.test('a piece that another writer put differently is read by the general way', async t => {
  const data = Buffer.from('piece')
  const twice = Buffer.concat([field(2, Buffer.from('old')), field(2, data)])
  t.same(relay.responseDeserialize(twice), { data }, 'the last one counts')
  t.same(attach.requestDeserialize(field(6, twice)), { relay: { data } })
  const unknown = Buffer.concat([field(2, data), field(8, Buffer.from('later'))])
  t.same(relay.responseDeserialize(unknown), { data }, 'with a field of later versions')
  const long = Buffer.from([0x12, 0x85, 0x80, 0x00, ...data])
  t.same(relay.responseDeserialize(long), { data }, 'a length with idle bytes')
})

t.test('random bytes are read as the general way would read them, or refused as it would', async t => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const random = mulberry32(seed)
  const piece = field(6, field(2, Buffer.from('a piece of a body')))
  let read = 0
  for (let round = 0; round < 5_000; round += 1) {
    const bytes = round % 2 === 0 ? Buffer.from(piece) : randomBytes(Math.floor(random() * 40))
    for (let hits = round % 5; hits > 0 && bytes.length > 0; hits -= 1)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    const cut = bytes.subarray(0, Math.floor(random() * (bytes.length + 1)))
    try {
      const message = attach.requestDeserialize(cut) as { relay?: { data?: Buffer } }
      read += 1
      // A piece is never longer than what it came in.
      if ((message.relay?.data?.length ?? 0) > cut.length) t.fail(`${cut.toString('hex')} (seed ${seed})`)
    } catch (error) {
      if (!(error instanceof Error)) t.fail(`seed ${seed}`)
    }
  }
  t.ok(read > 100, `seed ${seed}`)
})
