/** What a house takes from an agent that says odd things, over both kinds of lines. */
import t, { type Test } from 'tap'
import { Attachment } from '../../src/agent/attach.ts'
import { listen } from '../../src/agent/listen.ts'
import type { AgentService } from '../../src/agent/service.ts'
import { systemClock } from '../../src/clock.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { plaintext } from '../../src/rpc/credentials.ts'
import type { CommandProgress } from '../../src/rpc/messages.ts'
import { type House, houseSide } from '../agent/stand.ts'

const ways: Readonly<Record<string, (t: Test, house: House, service: AgentService) => Promise<void>>> = {
  async attached(t, house, service) {
    const hello = { session: 's', startedAt: 1, agentVersion: '0.0.0', labels: {}, node: 'n1' }
    const attachment = new Attachment({
      ...serving(t, service),
      house: house.address,
      dialling: plaintext.dialling,
      hello,
    })
    t.teardown(() => attachment.close(0))
    attachment.start()
  },
  async dialled(t, house, service) {
    const where = '127.0.0.1:0'
    const listening = { ...serving(t, service), where, credentials: plaintext.serving(), admit() {} }
    const server = await listen(listening)
    t.teardown(() => server.close(0))
    const url = `grpc://${server.address}`
    const data = { url, slots: 1, residentMax: 1, labels: {}, origin: 'api' } as const
    await house.engine.dispatch('node', 'n1', { type: 'node.register', data, by: 'test' })
  },
}

function serving(t: Test, service: AgentService) {
  return { clock: systemClock, statuses, service, onBug: (error: unknown) => t.fail('a bug', { error }) }
}

function saying(...words: object[]): AgentService {
  return {
    async *command() {
      yield* words as CommandProgress[]
    },
  } as Partial<AgentService> as AgentService
}

for (const [way, open] of Object.entries(ways)) {
  t.test(`${way}: of a command, only what can be is heard`, async t => {
    const house = await houseSide(t)
    const bell = String.fromCharCode(7)
    const long = 'x'.repeat(1_000_000)
    await open(
      t,
      house,
      saying(
        {}, // of a later release, perhaps
        { step: { status: `pulling${bell}`, digest: 'sha256:1', totalBytes: 9, completedBytes: 2 } },
        { step: { status: long, digest: long, totalBytes: 2 ** 60 } },
        { end: { outcome: 7, httpStatus: 4e9, reason: `no${bell}`, ms: 3 } },
      ),
    )
    const link = await house.link('n1')
    const told: CommandProgress[] = []
    const signal = new AbortController().signal
    for await (const word of link.command({ id: 'c1', pull: { model: 'm', insecure: false } }, signal)) {
      told.push(word)
    }
    t.same(told, [
      { step: { status: 'pulling', digest: 'sha256:1', totalBytes: 9, completedBytes: 2 } },
      { step: { status: long.slice(0, 512), digest: long.slice(0, 128) } },
      { end: { outcome: 'OUTCOME_FAILED', httpStatus: 0, reason: 'no', ms: 3 } },
    ])
  })
}
