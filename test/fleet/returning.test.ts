/** Calls for agents that are on their way back to a house. */
import t from 'tap'
import type { Outgoing, Receiver } from '../../src/call.ts'
import { virtualClock } from '../../src/clock.ts'
import type { Failure } from '../../src/failure.ts'
import type { Link, Links } from '../../src/fleet/link.ts'
import { RETURN_MS, whenBack } from '../../src/fleet/returning.ts'

const OUT: Outgoing = { method: 'GET', path: '/api/version', headers: {}, body: null }

function stage() {
  const clock = virtualClock()
  const sent: string[] = []
  const failed: string[] = []
  const ears = new Set<(node: string, up: boolean) => void>()
  let aborted = 0
  const abort = (): void => {
    aborted += 1
  }
  const there = new Set<string>()
  const link = (node: string): Link => ({
    node,
    status: () => Promise.reject(new Error('not asked')),
    watch: () => Promise.reject(new Error('not asked')) as never,
    command: () => Promise.reject(new Error('not asked')) as never,
    cancel: () => Promise.resolve(false),
    send(out) {
      sent.push(`${node} ${out.path}`)
      return { pause() {}, resume() {}, abort }
    },
  })
  const links: Links = {
    of: node => (there.has(node) ? link(node) : undefined),
    listen(heard) {
      ears.add(heard)
      return () => void ears.delete(heard)
    },
  }
  const receiver: Receiver = {
    start() {},
    data() {},
    end() {},
    fail: (failure: Failure) => void failed.push(failure.code),
  }
  return {
    clock,
    sent,
    failed,
    ears,
    aborts: () => aborted,
    comes(node: string) {
      there.add(node)
      for (const ear of [...ears]) ear(node, true)
    },
    call: (node: string, withinMs = RETURN_MS) => whenBack({ links, clock, node, withinMs }, OUT, receiver),
  }
}

t.test('a call waits for its agent, and is sent once, when that is there', async t => {
  const s = stage()
  s.call('a')
  s.comes('b')
  t.same(s.sent, [])
  s.comes('a')
  s.comes('a')
  await s.clock.advance(RETURN_MS * 2)
  t.same(s.sent, ['a /api/version'])
  t.same(s.failed, [])
  t.equal(s.ears.size, 0)
})

t.test('an agent that does not come in time has refused', async t => {
  const s = stage()
  s.call('a')
  await s.clock.advance(RETURN_MS - 1)
  t.same(s.failed, [])
  await s.clock.advance(1)
  t.same(s.failed, ['ollama.refused'])
  s.comes('a')
  t.same(s.sent, [])
  t.equal(s.ears.size, 0)
})

t.test('who does not wait any more is forgotten, and who was sent is broken off', async t => {
  const s = stage()
  s.call('a').abort()
  t.equal(s.ears.size, 0)
  s.comes('a')
  await s.clock.advance(RETURN_MS)
  t.same([s.sent, s.failed], [[], []])
  const call = s.call('b')
  s.comes('b')
  t.same([s.sent, s.aborts()], [['b /api/version'], 0])
  call.abort()
  t.equal(s.aborts(), 1)
})

t.test('where the agent is there, nobody waits', async t => {
  const s = stage()
  s.comes('a')
  const call = s.call('a')
  t.same(s.sent, ['a /api/version'])
  t.equal(s.ears.size, 0)
  call.abort()
  t.equal(s.aborts(), 1)
})

t.test('where nobody is waited for any more, it is refused at once', async t => {
  const s = stage()
  s.call('a', 0)
  await s.clock.advance(0)
  t.same([s.sent, s.failed], [[], ['ollama.refused']])
  t.equal(s.ears.size, 0)
})
