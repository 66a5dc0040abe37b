/** Lines to agents that listen, on real sockets. */
import t from 'tap'
import { listen } from '../../src/agent/listen.ts'
import type { AgentService } from '../../src/agent/service.ts'
import { systemClock } from '../../src/clock.ts'
import { Dialled } from '../../src/fleet/dialled.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { Papers } from '../../src/pki/papers.ts'
import { listeningAgent, toAgent } from '../../src/rpc/credentials.ts'
import { serialIn, trusted } from '../rpc/trusted.ts'

t.test('a certificate that ends takes with it the line that it was shown for, and no other', async t => {
  const pki = await trusted(t)
  const [before, present] = [1, 2].map(() => pki.issue({ role: 'node', node: 'a' }))
  const server = await listen({
    clock: systemClock,
    statuses,
    onBug: error => t.fail('a bug', { error }),
    where: '127.0.0.1:0',
    credentials: listeningAgent(new Papers(present!)),
    service: {} as AgentService,
    admit() {},
  })
  t.teardown(() => server.close(0))
  let turned = Promise.withResolvers<boolean>()
  const dialled = new Dialled({
    clock: systemClock,
    dialling: node => toAgent(pki.house, node, () => {}),
    heard: (_node, up) => turned.resolve(up),
  })
  t.teardown(() => dialled.close())
  dialled.follow([{ name: 'a', url: `grpc://${server.address}` }])
  t.equal(await turned.promise, true)
  const line = dialled.of('a')
  t.ok(line)
  dialled.expel('a', serialIn(before!))
  t.equal(dialled.of('a'), line, 'it was let in with the next one')
  turned = Promise.withResolvers<boolean>()
  dialled.expel('a', serialIn(present!))
  t.equal(await turned.promise, false)
  t.not(dialled.of('a'), line)
})
