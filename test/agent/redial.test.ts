/** An agent that dials its house anew while it is attached. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Attachment } from '../../src/agent/attach.ts'
import type { AgentService } from '../../src/agent/service.ts'
import { systemClock } from '../../src/clock.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { plaintext } from '../../src/rpc/credentials.ts'
import { houseSide } from './stand.ts'

t.test('a house has a line to an agent all the time while that dials anew', async t => {
  const house = await houseSide(t)
  let dialled = 0
  const attachment = new Attachment({
    clock: systemClock,
    statuses,
    onBug: error => t.fail('a bug', { error }),
    service: { status: async () => ({ at: 1 }) } as Partial<AgentService> as AgentService,
    house: house.address,
    dialling() {
      dialled += 1
      return plaintext.dialling()
    },
    hello: { session: 's', startedAt: 1, agentVersion: '0.0.0', labels: {}, node: 'n1' },
  })
  t.teardown(() => attachment.close(0))
  attachment.start()
  const link = await house.link('n1')
  const turns: boolean[] = []
  house.agents.listen((_node, up) => void turns.push(up))
  const signal = new AbortController().signal
  for (const time of [1, 2, 3]) {
    attachment.redial()
    t.equal(dialled, 1 + time)
    for (let i = 0; i < 30; i += 1) {
      // One that comes at the very moment is told that it was not taken.
      const told = await link.status({ fresh: false, signal }).catch(error => error.code)
      if (told !== 'agent.closing') t.match(told, { at: 1 })
      await sleep(2)
    }
  }
  t.same(turns, [])
})
