/** Streams of agents as a house keeps them, with streams that the test holds. */
import t, { type Test } from 'tap'
import { Refusal } from '../../machines/entity.ts'
import { virtualClock } from '../../src/clock.ts'
import type { Failure } from '../../src/failure.ts'
import { Attached, type Lent } from '../../src/fleet/attached.ts'
import { heardNo, saidNo } from '../../src/rpc/errors.ts'
import type { Ears, Served } from '../../src/rpc/exchange.ts'
import type { AttachRequest, AttachResponse } from '../../src/rpc/messages.ts'
import type { Caller } from '../../src/rpc/server.ts'

/** As the agent sees it. As everywhere, whoever breaks it off hears no more of it. */
class Stream implements Served<AttachRequest, AttachResponse> {
  readonly connection: object
  readonly said: string[] = []
  #ears: Ears<AttachRequest> | undefined

  constructor(connection: object) {
    this.connection = connection
  }

  hear(ears: Ears<AttachRequest>): void {
    this.#ears = ears
  }

  hello(session: string, startedAt: number): void {
    const hello = { session, startedAt, agentVersion: '0.0.0', labels: {}, node: 'a' }
    this.#ears!.message({ hello })
  }

  put(): boolean {
    return true
  }

  end(): void {}

  accept(): void {
    this.said.push('accepted')
  }

  refuse(error: unknown): void {
    const failure = heardNo(saidNo(error, {}) as never)
    this.said.push(failure.code)
    const ears = this.#ears
    this.#ears = undefined
    ears?.gone(failure)
  }

  cancel(): void {
    this.said.push('cancelled')
    this.#ears = undefined
  }

  pause(): void {}
  resume(): void {}
}

/** `welcome` resolves when the test lets it. */
function given(t: Test, welcome = () => Promise.resolve()) {
  const clock = virtualClock()
  const attached = new Attached({
    clock,
    identify: () => ({ node: 'a', serial: 'S1' }),
    welcome,
    heard() {},
    onBug: error => t.fail('a bug', { error }),
  })
  const open = async (connection: object, session = 'one', startedAt = 1): Promise<Stream> => {
    const stream = new Stream(connection)
    attached.attach(stream, {} as Caller)
    stream.hello(session, startedAt)
    await clock.advance(0)
    return stream
  }
  return { attached, open }
}

t.test(
  'a call that was called off, and a stream that another connection replaced, are over for good',
  async t => {
    const { attached, open } = given(t)
    const first = await open({})
    const heard: Failure[] = []
    attached.lend(
      'a',
      (lent: Lent) => {
        lent.hear({ message() {}, room() {}, end() {}, gone: failure => void heard.push(failure) })
        lent.cancel()
      },
      failure => t.fail('a stream was idle', { failure }),
    )
    const older = await open({})
    const newer = await open({})
    attached.expel('a', new Refusal('agent.revoked', 'it was stolen'))
    t.same(heard, [], 'nobody who has left is told')
    t.same(first.said, ['accepted', 'cancelled'])
    t.same(older.said, ['accepted', 'cancelled'])
    t.same(newer.said, ['accepted', 'agent.revoked'])
  },
)

t.test('the streams of a run that was put out while it was being welcomed are sent away, too', async t => {
  const welcomes: (() => void)[] = []
  const { attached, open } = given(t, () => new Promise(resolve => void welcomes.push(resolve)))
  const earlier = await open({}, 'one', 1)
  const later = await open({}, 'two', 2)
  for (const welcome of welcomes) welcome()
  await new Promise(setImmediate)
  t.same(earlier.said, ['agent.superseded'])
  t.same(later.said, ['accepted'])
  let taken = 0
  attached.lend(
    'a',
    () => {
      taken += 1
    },
    failure => t.fail('a stream is idle', { failure }),
  )
  t.equal(taken, 1)
})
